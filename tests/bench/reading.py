"""Reading and checking five million events from Parquet, in a process of its own so that its memory is its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.events.schema import EVENT_TYPES
from tests.bench.measurement import Context, Measurement, of_samples

_EVENTS: Final = 5_000_000
_USERS: Final = 200_000
_ITEMS: Final = 50_000
_REPETITIONS: Final = 3
_FIRST: Final = 1_780_000_000
_DAYS: Final = 60
_GB: Final = 1e9


def measure(context: Context) -> list[Measurement]:
    """Wall seconds of `load` and the most memory its process ever held, Python and libraries included.

    Once as a plain log has them, and once with an id for every event, among which duplicates are looked for.
    """
    return [
        line
        for with_ids, name in ((False, "from Parquet"), (True, "with event ids"))
        for line in _measure(context, f"read and check {_EVENTS / 1e6:.0f} M events {name}", with_ids)
    ]


def _measure(context: Context, name: str, with_ids: bool) -> list[Measurement]:
    path = context.scratch / "events.parquet"
    write_events(path, _EVENTS, with_ids=with_ids)
    runs = [_child(path, context.scratch) for _ in range(_REPETITIONS)]
    path.unlink()
    for run in runs:
        if run["events"] + run["rejected"] != _EVENTS:
            raise AssertionError(f"{_EVENTS:,} events were written, and {run} came back")
    imports = f"starting Python and importing takes another {runs[0]['import_seconds']:.1f} s"
    return [
        of_samples(name, "s", [run["seconds"] for run in runs], target=10.0, details={"runs": runs}, notes=[imports]),
        of_samples(f"{name}: peak memory", "GB", [run["peak_bytes"] / _GB for run in runs], target=2.0),
    ]


def write_events(path: Path, count: int, *, with_ids: bool) -> None:
    """A seeded Parquet file in our own columns: text ids, type names, microsecond times, completions for views.

    `with_ids` adds an event_id of 32 hexadecimal digits, as long as a UUID, to each.
    """
    rng = np.random.default_rng(3)
    users = pa.array([f"u{number:07}" for number in range(_USERS)])
    items = pa.array([f"v{number:06}" for number in range(_ITEMS)])
    types = rng.choice(len(EVENT_TYPES), size=count, p=_type_shares()).astype(np.int8)
    values = np.where(types == EVENT_TYPES.index("view"), rng.random(count), np.nan)
    seconds = np.sort(_FIRST + rng.random(count) * _DAYS * 86_400)
    # Squared and cubed uniform numbers: some users are far more active, some items far more popular.
    table = pa.table(
        {
            "user_id": users.take(pa.array((rng.random(count) ** 2 * _USERS).astype(np.int64))),
            "item_id": items.take(pa.array((rng.random(count) ** 3 * _ITEMS).astype(np.int64))),
            "type": pa.array(EVENT_TYPES).take(pa.array(types)),
            "timestamp": pa.array((seconds * 1e6).astype(np.int64), type=pa.timestamp("us", tz="UTC")),
            "value": pa.array(values, from_pandas=True),
        }
    )
    if with_ids:
        digits = np.frombuffer(rng.bytes(16 * count).hex().encode("ascii"), dtype="S32")
        table = table.append_column("event_id", pa.array(digits).cast(pa.string()))
    pq.write_table(table, path)


def _type_shares() -> np.ndarray:
    shares = dict.fromkeys(EVENT_TYPES, 0.0)
    shares |= {"impression": 0.5, "view": 0.3, "like": 0.08, "comment": 0.02, "share": 0.02, "follow": 0.01}
    shares |= {"save": 0.02, "skip": 0.04, "not_interested": 0.01}
    return np.array([shares[name] for name in EVENT_TYPES])


def _child(path: Path, scratch: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.reading_child", str(path), str(scratch / "rejects.csv")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
