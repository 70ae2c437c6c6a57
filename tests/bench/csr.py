"""From events in Parquet to the training matrix, at growing sizes, in a process of its own each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.measurement import Context, Measurement

_EVENTS_A_FILE: Final = 5_000_000
_USERS: Final = 1_000_000
_ITEMS: Final = 200_000
_FIRST: Final = 1_780_000_000
_DAYS: Final = 60
_GB: Final = 1e9
_MILLION: Final = 1_000_000


def measure(context: Context) -> list[Measurement]:
    """Seconds for each million events, from the largest size and from the smallest; the most memory ever held.

    Users and items are as many at every size, so that only the events grow.
    """
    folder = context.scratch / "events"
    folder.mkdir()
    lines, runs, written = [], [], 0
    for millions in context.millions:
        written = _write(folder, written, millions * _MILLION)
        run = _child(folder, context.scratch / "rejects.csv")
        if run["events"] != millions * _MILLION:
            raise AssertionError(f"{millions} M events were written, and {run} came back")
        runs.append(run)
        name = f"{millions} M events to the matrix"
        note = f"reading and checking {run['read_seconds']:.1f} s, the matrix {run['matrix_seconds']:.1f} s"
        seconds = run["read_seconds"] + run["matrix_seconds"]
        lines += [
            Measurement(name, "s/M", seconds / millions, details=run, notes=[note]),
            Measurement(f"{name}: peak memory", "GB", run["peak_bytes"] / _GB, target=8.0),
        ]
    if len(lines) > 2:
        name = f"time a million, {context.millions[-1]} M / {context.millions[0]} M"
        first, last = lines[0].value, lines[-2].value
        assert first is not None
        assert last is not None
        lines.append(Measurement(name, "×", last / first))
    return lines


def _write(folder: Path, start: int, end: int) -> int:
    """Adds files with the events start..end - 1: text ids, type names, microsecond times, completions."""
    users = pa.array([f"u{number:07}" for number in range(_USERS)])
    items = pa.array([f"v{number:06}" for number in range(_ITEMS)])
    names = pa.array(["impression", "view", "like", "save", "skip"])
    while start < end:
        count = min(_EVENTS_A_FILE, end - start)
        rng = np.random.default_rng([start, 11])
        types = rng.choice(5, size=count, p=[0.3, 0.5, 0.1, 0.05, 0.05])
        table = pa.table(
            {
                "user_id": users.take(pa.array((rng.random(count) ** 2 * _USERS).astype(np.int64))),
                "item_id": items.take(pa.array((rng.random(count) ** 3 * _ITEMS).astype(np.int64))),
                "type": names.take(pa.array(types)),
                "timestamp": pa.array(
                    ((_FIRST + rng.random(count) * _DAYS * 86_400) * 1e6).astype(np.int64),
                    type=pa.timestamp("us", tz="UTC"),
                ),
                "value": pa.array(np.where(types == 1, rng.random(count), np.nan), from_pandas=True),
            }
        )
        pq.write_table(table, folder / f"part-{start:012}.parquet", row_group_size=1_000_000)
        start += count
    return start


def _child(folder: Path, rejects: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.csr_child", str(folder), str(rejects)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=3_000)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
