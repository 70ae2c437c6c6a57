"""What a request and a worker process cost as the catalogue grows, and as the users do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from recsvc.bundle.reader import open_bundle, read_manifest
from tests.bench.generated import index_config, publish_generated
from tests.bench.growth_plot import growth_plot
from tests.bench.measurement import Context, Measurement
from tests.bench.opening import child

_ITEMS: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000)
_USERS: Final = (10_000, 100_000, 1_000_000)
_FACTORS: Final = 64
_FEW_USERS: Final = 10_000
_FEW_ITEMS: Final = 30_000
_MB: Final = 1e6
_PLOT: Final = Path("var/bench/growth.svg")


def measure(context: Context) -> list[Measurement]:
    """A list of 100 for a stored user and for a newcomer, in a process without HTTP, on one thread; and private memory.

    Items grow with 10,000 users, users with 30,000 items; 64 factors. Leaves a plot beside the JSON file.
    """
    by_items = [_measured(context, _FEW_USERS, n_items) for n_items in _ITEMS]
    by_users = [_measured(context, n_users, _FEW_ITEMS) for n_users in _USERS]
    _PLOT.parent.mkdir(parents=True, exist_ok=True)
    _PLOT.write_text(growth_plot(_ITEMS, by_items, _USERS, by_users), "utf-8")
    lines = [
        line
        for name, sizes, runs in (("items", _ITEMS, by_items), ("users", _USERS, by_users))
        for size, run in zip(sizes, runs, strict=True)
        for line in _lines(f"{size:,} {name}", run)
    ]
    return [*lines, Measurement("growth is drawn", "plots", 1.0, notes=[str(_PLOT)])]


def _measured(context: Context, n_users: int, n_items: int) -> dict[str, Any]:
    models = context.scratch / "models"
    # Of the approximate indexes only those that win at a million, since all of them take minutes.
    config = index_config().model_copy(update={"families": ("scalar", "pq")})
    path = models / publish_generated(models, n_users, n_items, _FACTORS, config=config)
    receipts = context.scratch / "receipts"
    open_bundle(path, receipts, full=True)
    run = child(path, receipts)
    run["index"] = read_manifest(path).index.kind
    shutil.rmtree(models)
    return run


def _lines(title: str, run: dict[str, Any]) -> list[Measurement]:
    notes = [
        f"index {run['index']}; wall time {run['list_ms']:.2f} ms, p99 {run['list_p99_ms']:.2f} ms",
        f"a newcomer {run['newcomer_cpu_ms']:.2f} ms, the first one {run['first_newcomer_ms']:.0f} ms; "
        f"opened in {run['opened_seconds'] * 1e3:.0f} ms",
    ]
    return [
        Measurement(f"{title}: a user's list, processor time", "ms", run["list_cpu_ms"], notes=notes, details=run),
        Measurement(f"{title}: private memory", "MB", run["served_bytes"] / _MB),
    ]
