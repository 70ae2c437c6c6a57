"""A small event log to count, with the columns of experiments."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.eventlog.event import LogEvent
from recsvc.eventlog.files import PartitionLog, tail_name
from recsvc.eventlog.position import BEGINNING, StreamId, partition_of
from recsvc.eventlog.rows import SCHEMA, table_of
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones

DAY: Final = 86_400.0
START: Final = 1_790_208_000.0
"""A midnight, UTC: day 0 of these logs."""
START_DAY: Final = int(START / DAY)

EXPERIMENTS: Final = pa.list_(
    pa.struct(
        [
            ("experiment", pa.string()),
            ("phase", pa.int16()),
            ("variant", pa.string()),
            ("forced", pa.bool_()),
            ("fallback", pa.bool_()),
        ]
    )
)
NEWER: Final = pa.schema(
    [
        *SCHEMA,
        ("experiments", EXPERIMENTS),
        ("position", pa.int16()),
        ("source", pa.string()),
        ("team", pa.string()),
        ("propensity", pa.float32()),
    ]
)


def assigned(variant: str, *, key: str = "exp", phase: int = 1, forced: bool = False, fallback: bool = False) -> Any:
    return {"experiment": key, "phase": phase, "variant": variant, "forced": forced, "fallback": fallback}


@dataclass
class Log:
    """Events are added with `add`, in the order of their receipt, and written by `flush`: a file a partition."""

    state_dir: Path
    waiting: dict[int, list[tuple[LogEvent, StreamId, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    ends: dict[int, StreamId] = field(default_factory=dict)

    def add(self, user: str, day: float, kind: str = "view", *variants: Any, **fields: Any) -> StreamId:
        """An event `day` days after the start; with `variants` it brings a valid token of theirs."""
        number = next(self.numbers)
        extra = {name: fields.pop(name) for name in ("position", "source", "team", "propensity") if name in fields}
        received = START + fields.pop("received", day) * DAY
        at = StreamId(round(received * 1000), number)
        if variants or extra:
            fields.setdefault("attribution", "valid")
        event = LogEvent(f"e{number}", kind, user, START + day * DAY, **{"item_id": "i1", **fields})
        self.waiting[partition_of(user)].append((event, at, extra | {"experiments": list(variants) or None}))
        return at

    def show(self, user: str, day: float, variant: str, **how: Any) -> StreamId:
        """An impression under a variant of `exp`."""
        return self.add(user, day, "impression", assigned(variant, **how))

    def merge(self, user: str, account: str, day: float) -> None:
        self.add(user, day, "merge", item_id=None, target_id=account)

    def flush(self, *, older: bool = False) -> None:
        """Writes what waits; with `older` as files were before experiments were in them."""
        for partition, rows in self.waiting.items():
            table = table_of(partition, [event for event, _, _ in rows], [at for _, at, _ in rows])
            if not older:
                for name in NEWER.names[len(SCHEMA) :]:
                    values = pa.array([extra.get(name) for _, _, extra in rows], NEWER.field(name).type)
                    table = table.append_column(NEWER.field(name), values)
            log = PartitionLog(self.state_dir / "events", partition)
            log.directory.mkdir(parents=True, exist_ok=True)
            after, last = self.ends.get(partition, BEGINNING), rows[-1][1]
            with pq.ParquetWriter(log.directory / tail_name(after), table.schema) as writer:
                writer.write_table(table)
                writer.add_key_value_metadata({"partition": str(partition), "after": str(after), "last": str(last)})
            self.ends[partition] = last
        self.waiting.clear()

    def erase(self, user: str, until: StreamId) -> None:
        """What of the user came up to `until` is to be forgotten."""
        write_tombstones(self.state_dir, Tombstones([Tombstone(digest_of(user), until, until.milliseconds / 1000)]))
