"""`python -m tests.bench [part …]`: measures, prints the table, and leaves a JSON file under var/bench/."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.bench.machine import Neighbours, describe_commit, describe_machine
from tests.bench.measurement import Context, Measurement, Part
from tests.bench.report import table, write_json

_PARTS: Final = {
    "pipeline": "pipeline",
    "reading": "reading",
    "start": "starting",
    "fitting": "fitting",
    "fold-in": "folding",
    "search": "searching",
    "opening": "opening",
    "batch": "batch",
    "indexes": "indexes",
    "csr": "csr",
    "growth": "growth",
    "blend": "blending",
    "assignment": "assigning",
    "cached": "cached",
    "computed": "computed",
    "mixed": "mixed",
    "connections": "connecting",
    "swaps": "swapping",
    "events": "events",
    "worker": "writing",
    "reaction": "reaction_latency",
    "memory": "redis_memory",
}
"""Part → its module, imported when its turn comes."""

_BY_NAME: Final = frozenset(
    {"opening", "indexes", "growth", "connections", "swaps", "events", "worker", "reaction", "memory", "fitting"}
)
"""Those that take gigabytes or minutes: `make bench-size`, `make bench-load`, or alone."""

_BUSY: Final = 0.05
"""More than this share of the machine in other hands makes the figures doubtful."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when a part could not be run; a missed target is a figure, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures beside their baselines.")
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"{', '.join(_PARTS)}; all but {', '.join(sorted(_BY_NAME))} when none is named",
    )
    parser.add_argument("--millions", type=_sizes, default=(1, 10), help="of events, for csr; default 1,10")
    options = parser.parse_args(arguments)
    chosen = options.parts or [name for name in _PARTS if name not in _BY_NAME]
    unknown = [name for name in chosen if name not in _PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(_PARTS)}")
    root = Path.cwd()
    started_at, started = datetime.now(UTC), time.perf_counter()
    lines, failed, others = _run_parts(chosen, options.millions)
    report = root / "var" / "bench" / f"{started_at:%Y%m%dT%H%M%SZ}.json"
    facts = {
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
        "machine": describe_machine(),
        "share_of_other_processes": others,
        "code": describe_commit(root),
        "parts": chosen,
        "failed": failed,
    }
    write_json(report, lines, facts)
    print(table(lines))
    print(f"\n{facts['seconds']} s in all; everything, with each sample, is in {report.relative_to(root)}")
    for name, share in others.items():
        if share > _BUSY:
            print(f"mind: other processes used {share:.0%} of this machine during {name}; measure that again")
    if failed:
        print(f"could not be run: {', '.join(failed)} (the reasons stand above)", file=sys.stderr)
    return 1 if failed else 0


def _sizes(text: str) -> tuple[int, ...]:
    sizes = [int(word) for word in text.split(",") if word.isdecimal() and int(word)]
    if len(sizes) != len(text.split(",")) or sizes != sorted(set(sizes)):
        raise argparse.ArgumentTypeError(f"{text!r} is not an ascending list of whole numbers such as 1,10,100")
    return tuple(sizes)


def _run_parts(
    names: Sequence[str], millions: tuple[int, ...]
) -> tuple[list[Measurement], list[str], dict[str, float]]:
    lines: list[Measurement] = []
    failed: list[str] = []
    others: dict[str, float] = {}
    data_dir = Path(os.environ.get("RECSVC_DATA_DIR") or "data")
    for name in names:
        print(f"• {name} …", file=sys.stderr, flush=True)
        # Short: the socket of the embedded Redis lies in it, and a socket's path has at most 107 bytes.
        scratch = Path(tempfile.mkdtemp(prefix="recsvc-bench-"))
        started, neighbours = time.perf_counter(), Neighbours()
        try:
            measure: Part = import_module(f"tests.bench.{_PARTS[name]}").measure
            lines += measure(Context(data_dir, scratch, millions))
        except Exception:  # the other parts still run; the exit status tells
            traceback.print_exc()
            failed.append(name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        others[name] = round(neighbours.share(), 3)
        print(f"  {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    return lines, failed, others


if __name__ == "__main__":
    sys.exit(main())
