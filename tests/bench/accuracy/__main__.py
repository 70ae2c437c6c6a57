"""`python -m tests.bench.accuracy [--quick] [row …]`: fits and measures, prints the table, leaves a JSON file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.bench.accuracy.community import DATASET, Community, measure_community
from tests.bench.accuracy.measure import Remembered, Result, measure
from tests.bench.accuracy.report import markdown, write_json
from tests.bench.accuracy.rows import ROWS
from tests.bench.machine import describe_commit, describe_machine
from training.errors import DataMissing

_SEEDS: Final = (1, 2, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when a data set was missing; a missed target is a figure, not a failure."""
    names = [row.name for row in ROWS] + [DATASET]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"{', '.join(names)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="one seed, and only the rows that take a minute or so")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.rows if name not in names]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; choose from {', '.join(names)}")
    chosen = options.rows or [row.name for row in ROWS if row.quick or not options.quick] + [DATASET]
    seeds = _SEEDS[:1] if options.quick else _SEEDS
    started_at, started = datetime.now(UTC), time.perf_counter()
    results, community, missing = _measured(chosen, seeds)
    table = markdown(results, community)
    path = Path("var/bench") / f"accuracy-{started_at:%Y%m%dT%H%M%SZ}.json"
    facts = {
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
        "machine": describe_machine(),
        "code": describe_commit(Path.cwd()),
        "missing": missing,
    }
    write_json(path, results, community, facts)
    print(table)
    print(f"\n{facts['seconds']} s in all; everything, seed by seed, is in {path}")
    return 1 if missing else 0


def _measured(chosen: Sequence[str], seeds: Sequence[int]) -> tuple[list[Result], Community | None, list[str]]:
    data_dir = Path(os.environ.get("RECSVC_DATA_DIR") or "data")
    results: list[Result] = []
    weigh = Remembered()
    community: Community | None = None
    missing: list[str] = []
    for name in chosen:
        print(f"• {name} …", file=sys.stderr, flush=True)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="recsvc-accuracy-") as scratch:
            try:
                if name == DATASET:
                    community = measure_community(seeds, data_dir, Path(scratch))
                else:
                    row = next(row for row in ROWS if row.name == name)
                    results.append(measure(row, seeds, data_dir, Path(scratch), weigh))
                    print(markdown(results[-1:], None), file=sys.stderr)
            except DataMissing as exc:
                print(f"  {exc}", file=sys.stderr)
                missing.append(name)
        print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return results, community, missing


if __name__ == "__main__":
    sys.exit(main())
