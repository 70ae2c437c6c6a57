"""A small event log to count, with the columns of experiments."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from recsvc.eventlog.event import Arm, LogEvent
from recsvc.eventlog.files import PartitionLog, tail_name
from recsvc.eventlog.position import BEGINNING, StreamId, partition_of
from recsvc.eventlog.rows import SCHEMA, table_of
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones

DAY: Final = 86_400.0
START: Final = 1_790_208_000.0
"""A midnight, UTC: day 0 of these logs."""
START_DAY: Final = int(START / DAY)

OLDER: Final = SCHEMA.names[: SCHEMA.get_field_index("experiments")]
"""The columns of files from before there were experiments."""


def assigned(variant: str, *, key: str = "exp", phase: int = 1, forced: bool = False, fallback: bool = False) -> Arm:
    return Arm(key, phase, variant, forced, fallback)


@dataclass
class Log:
    """Events are added with `add`, in the order of their receipt, and written by `flush`: a file a partition."""

    state_dir: Path
    waiting: dict[int, list[tuple[LogEvent, StreamId]]] = field(default_factory=lambda: defaultdict(list))
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    ends: dict[int, StreamId] = field(default_factory=dict)

    def add(self, user: str, day: float, kind: str = "view", *arms: Arm, **fields: Any) -> StreamId:
        """An event `day` days after the start; with `arms`, or of a team, it brings a valid token of theirs."""
        number = next(self.numbers)
        received = START + fields.pop("received", day) * DAY
        at = StreamId(round(received * 1000), number)
        if arms or fields.keys() & {"team", "propensity"}:
            fields.setdefault("attribution", "valid")
        event = LogEvent(f"e{number}", kind, user, START + day * DAY, experiments=arms, **{"item_id": "i1", **fields})
        self.waiting[partition_of(user)].append((event, at))
        return at

    def show(self, user: str, day: float, variant: str, **how: Any) -> StreamId:
        """An impression under a variant of `exp`."""
        return self.add(user, day, "impression", assigned(variant, **how))

    def merge(self, user: str, account: str, day: float) -> None:
        self.add(user, day, "merge", item_id=None, target_id=account)

    def flush(self, *, older: bool = False) -> None:
        """Writes what waits; with `older` as files were before experiments were in them."""
        for partition, rows in self.waiting.items():
            table = table_of(partition, [event for event, _ in rows], [at for _, at in rows])
            log = PartitionLog(self.state_dir / "events", partition)
            after, last = self.ends.get(partition, BEGINNING), rows[-1][1]
            if older:
                log.directory.mkdir(parents=True, exist_ok=True)
                table = table.select(OLDER)
                with pq.ParquetWriter(log.directory / tail_name(after), table.schema) as writer:
                    writer.write_table(table)
                    writer.add_key_value_metadata({"partition": str(partition), "after": str(after), "last": str(last)})
            else:
                assert log.publish(after, last, table)
            self.ends[partition] = last
        self.waiting.clear()

    def erase(self, user: str, until: StreamId) -> None:
        """What of the user came up to `until` is to be forgotten."""
        write_tombstones(self.state_dir, Tombstones([Tombstone(digest_of(user), until, until.milliseconds / 1000)]))
