"""Events in the streams, and events in the log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import redis

from recsvc.eventlog.event import LogEvent, encode
from recsvc.eventlog.position import PARTITIONS, partition_of
from recsvc.eventlog.reader import snapshot
from recsvc.store.keys import log_key

HOME = partition_of("u1")


def send(client: redis.Redis, names: Iterable[str], user_id: str | None = None) -> None:
    """Adds an event for each name to the stream of its user, who is the event's own unless given."""
    pipeline = client.pipeline(transaction=False)
    for name in names:
        user = user_id or f"user-{name}"
        pipeline.xadd(log_key(partition_of(user)), {"e": encode(LogEvent(name, "view", user, 1_700_000_000.0, "v1"))})
    pipeline.execute()


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def logged(state_dir: Path) -> list[str]:
    """The ids of the events in the log, sorted, as often as they are there."""
    files = snapshot(state_dir / "events").files
    return sorted(name for file in files for name in pq.read_table(file)["event_id"].to_pylist())


def unwritten(client: redis.Redis) -> int:
    pipeline = client.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xlen(log_key(partition))
    return sum(pipeline.execute())
