"""Opening a bundle of a million users and a million items, and what each worker process adds for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from recsvc.bundle.reader import open_bundle, read_manifest
from tests.bench.generated import publish_generated
from tests.bench.measurement import Context, Measurement, of_samples

_USERS: Final = 1_000_000
_ITEMS: Final = 1_000_000
_FACTORS: Final = 128
_PROCESSES: Final = 3
_MB: Final = 1e6


def measure(context: Context) -> list[Measurement]:
    """The index as training chooses it; then processes one after another that open the verified bundle and answer."""
    models, receipts = context.scratch / "models", context.scratch / "receipts"
    started = time.perf_counter()
    path = models / publish_generated(models, _USERS, _ITEMS, _FACTORS)
    made = time.perf_counter() - started
    started = time.perf_counter()
    open_bundle(path, receipts, full=True)
    verified = time.perf_counter() - started
    index = read_manifest(path).index
    tried = [f"{p.kind} {p.setting}: recall {p.recall_at_100:.3f}, {p.search_ms_median:.2f} ms" for p in index.measured]
    runs = [child(path, receipts) for _ in range(_PROCESSES)]
    name = f"{_USERS / 1e6:.0f} M users × {_ITEMS / 1e6:.0f} M items × {_FACTORS}"
    return [
        of_samples(
            f"open {name}",
            "s",
            [run["opened_seconds"] for run in runs],
            target=1.0,
            notes=[f"made in {made:.0f} s, verified in full in {verified:.1f} s"],
            details={"runs": runs},
        ),
        of_samples(
            f"{name}: private memory a worker adds by opening", "MB", [run["opened_bytes"] / _MB for run in runs]
        ),
        of_samples(
            f"{name}: and after {runs[0]['requests']} lists",
            "MB",
            [run["served_bytes"] / _MB for run in runs],
            target=100.0,
        ),
        Measurement(
            f"{name}: recall@100 of {index.kind}", "", index.recall_at_100, target=0.95, at_least=True, notes=tried
        ),
        of_samples(f"{name}: p99 of a search", "ms", [run["search_p99_ms"] for run in runs], target=10.0),
        of_samples(f"{name}: p99 of a search, processor time", "ms", [run["search_cpu_p99_ms"] for run in runs]),
        of_samples(f"{name}: a user's list, median", "ms", [run["list_ms"] for run in runs]),
        of_samples(f"{name}: the first list", "ms", [run["first_list_ms"] for run in runs]),
        of_samples(f"{name}: the first list for a newcomer", "ms", [run["first_newcomer_ms"] for run in runs]),
    ]


def child(path: Path, receipts: Path) -> dict[str, Any]:
    """What a fresh process measures of a verified bundle: see `tests.bench.opening_child`."""
    command = [sys.executable, "-m", "tests.bench.opening_child", str(path), str(receipts)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
