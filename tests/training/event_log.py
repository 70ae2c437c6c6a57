"""Event logs for the pipeline's tests, written as the workers write them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsvc.eventlog.event import LogEvent
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.position import StreamId, partition_of
from recsvc.eventlog.reader import DIRECTORY_NAME
from recsvc.eventlog.rows import table_of

FIRST_MILLISECONDS = 1_790_000_000_000


def event(user_id: str, item_id: str | None, number: int, **fields: Any) -> LogEvent:
    """A like of that item, a second after the event before it."""
    timestamp = FIRST_MILLISECONDS / 1000 + number
    given = {"event_id": f"e{number}", "type": "like", "timestamp": timestamp} | fields
    return LogEvent(user_id=user_id, item_id=item_id, **given)


def write_log(state_dir: Path, events: Sequence[LogEvent], *, first: int = 0) -> list[StreamId]:
    """Appends the events, a file for each partition; event i has the id FIRST_MILLISECONDS + first + i, sequence 0."""
    ids = [StreamId(FIRST_MILLISECONDS + first + place, 0) for place in range(len(events))]
    by_partition: dict[int, list[tuple[StreamId, LogEvent]]] = defaultdict(list)
    for at, one in zip(ids, events, strict=True):
        by_partition[partition_of(one.user_id)].append((at, one))
    for partition, rows in by_partition.items():
        log = PartitionLog(state_dir / DIRECTORY_NAME, partition)
        table = table_of(partition, [one for _, one in rows], [at for at, _ in rows])
        assert log.publish(log.end(), rows[-1][0], table)
    return ids


def write_items(state_dir: Path, *items: dict[str, Any]) -> None:
    """The snapshot of live items that the service keeps."""
    file = state_dir / "live" / "items.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(item) + "\n" for item in items))
