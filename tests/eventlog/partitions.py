"""Parts of a log to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.eventlog.event import LogEvent
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.position import StreamId, partition_of
from recsvc.eventlog.reader import snapshot
from recsvc.eventlog.rows import table_of
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of

PARTITION = partition_of("u1")
USERS = ["u1", *(name for number in range(10_000) if partition_of(name := f"v{number}") == PARTITION)][:4]
"""Users of one partition."""

NOON = 1_790_000_000_000
"""Unix milliseconds of the first entry."""


def at(number: int) -> StreamId:
    """The stream id of the `number`-th entry, from 1 on; 0 is the beginning."""
    return StreamId(NOON + number // 3, number % 3) if number else StreamId(0, 0)


def event(number: int, user_id: str | None = None, **fields: Any) -> LogEvent:
    user = user_id or USERS[number % len(USERS)]
    return LogEvent(f"e{number}", fields.pop("type", "view"), user, 1_700_000_000.0 + number, **fields)


def rows(first: int, last: int) -> pa.Table:
    """The rows of the entries from `first` to `last`, both included."""
    numbers = range(first, last + 1)
    return table_of(PARTITION, [event(number) for number in numbers], [at(number) for number in numbers])


def publish(log: PartitionLog, after: int, last: int) -> bool:
    return log.publish(at(after), at(last), rows(after + 1, last))


def logged(root: Path) -> list[str]:
    """The ids of the events in the log, as a reader finds them."""
    found = snapshot(root)
    ids = [name for file in found.files for name in pq.read_table(file)["event_id"].to_pylist()]
    assert found.rows == len(ids)
    return ids


def numbered(first: int, last: int) -> list[str]:
    return [f"e{number}" for number in range(first, last + 1)]


def erased(user_id: str, until: int, erased_at: float = 1_790_000_100.0) -> Tombstone:
    return Tombstone(digest_of(user_id), at(until), erased_at)


def users_on_disk(root: Path) -> set[str]:
    """Every user id in any Parquet file below, part of the log or not."""
    return {user for file in root.rglob("*.parquet") for user in pq.read_table(file)["user_id"].to_pylist()}


NOBODY = Tombstones()
