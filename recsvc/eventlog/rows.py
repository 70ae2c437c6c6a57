"""Events as rows: the columns of the log's files, and which rows are to be forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.eventlog.event import MERGE, LogEvent
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones

_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXTS: Final = (
    "event_id",
    "type",
    "user_id",
    "item_id",
    "target_type",
    "target_id",
    "session_id",
    "recommendation_id",
    "attribution",
    "placement",
    "model_version",
    "source",
    "team",
)
_ARM: Final = pa.struct(
    [
        pa.field("experiment", pa.string()),
        pa.field("phase", pa.int16()),
        pa.field("variant", pa.string()),
        pa.field("forced", pa.bool_()),
        pa.field("fallback", pa.bool_()),
    ]
)

SCHEMA: Final = pa.schema(
    [
        pa.field("stream_ms", pa.int64(), nullable=False),
        pa.field("stream_seq", pa.int64(), nullable=False),
        pa.field("partition", pa.int16(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("timestamp", _TIME, nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("target_type", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field("session_id", pa.string()),
        pa.field("recommendation_id", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("placement", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("sent_timestamp", _TIME),
        pa.field("experiments", pa.list_(pa.field("element", _ARM))),
        pa.field("position", pa.int16()),
        pa.field("source", pa.string()),
        pa.field("team", pa.string()),
        pa.field("propensity", pa.float32()),
    ]
)
"""A row per event, in the order of the stream. `received_at` is the time in its stream id, by Redis' clock;
`sent_timestamp` what the caller had sent where `timestamp` was corrected."""

_ADDED: Final = frozenset({"experiments", "position", "source", "team", "propensity"})
"""Columns that files of releases before 0.4 have not."""

ERASURE_COLUMNS: Final = ["stream_ms", "stream_seq", "type", "user_id", "target_id"]
"""What `erased_rows` reads."""

_EARLIEST_SECONDS: Final = -62_135_596_800.0
_LATEST_SECONDS: Final = 253_402_300_799.0
"""From the beginning of the year 1 to the end of 9999: no other date can be written."""
_LARGEST: Final = 2**63 - 1
_LARGEST_SHORT: Final = 2**15 - 1


def row_problem(event: LogEvent) -> str | None:
    """Why the event fits no row, though it was an event's JSON; None when it does."""
    for name in ("timestamp", "sent_timestamp"):
        seconds = getattr(event, name)
        if seconds is not None and not _EARLIEST_SECONDS <= seconds <= _LATEST_SECONDS:
            return f"{name} {seconds!r} is not a time of the years 1 to 9999"
    if event.value is not None and not math.isfinite(event.value):
        return f"value {event.value!r} is not a finite number"
    if event.propensity is not None and not 0 <= event.propensity <= 1:
        return f"propensity {event.propensity!r} is not a probability"
    for number in (event.position or 0, *(arm.phase for arm in event.experiments)):
        if not 0 <= number <= _LARGEST_SHORT:
            return f"{number} is neither a position nor a phase: it is not from 0 to {_LARGEST_SHORT}"
    return None


def id_problem(at: StreamId) -> str | None:
    """Why a stream id fits no row, though Redis takes it; None when it does."""
    if at.milliseconds / 1000 <= _LATEST_SECONDS and at.sequence <= _LARGEST:
        return None
    return f"its id {at} is not a time of the years 1970 to 9999 with a number below 2^63"


def table_of(partition: int, events: Sequence[LogEvent], ids: Sequence[StreamId]) -> pa.Table:
    """The rows of events without a `row_problem`; `ids[i]`, without an `id_problem`, is that of `events[i]`."""
    milliseconds = np.fromiter((at.milliseconds for at in ids), np.int64, len(ids))
    columns: dict[str, Any] = {
        name: pa.array([getattr(event, name) for event in events], pa.string()) for name in _TEXTS
    }
    columns["stream_ms"] = pa.array(milliseconds)
    columns["stream_seq"] = pa.array(np.fromiter((at.sequence for at in ids), np.int64, len(ids)))
    columns["partition"] = pa.array(np.full(len(ids), partition, np.int16))
    columns["timestamp"] = _times([event.timestamp for event in events])
    columns["received_at"] = pa.array(milliseconds * 1000).cast(_TIME)
    columns["value"] = pa.array([event.value for event in events], pa.float64(), from_pandas=True)
    columns["sent_timestamp"] = _times([event.sent_timestamp for event in events])
    columns["experiments"] = pa.array(
        [[arm._asdict() for arm in event.experiments] or None for event in events], SCHEMA.field("experiments").type
    )
    columns["position"] = pa.array([event.position for event in events], pa.int16())
    columns["propensity"] = pa.array([event.propensity for event in events], pa.float32(), from_pandas=True)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def conformed(rows: pa.Table) -> pa.Table:
    """The rows of a file of any release in the columns of this one: null where they had none. Raises KeyError, or what
    pyarrow raises, for a table that is no part of a log."""
    for name in sorted(_ADDED.difference(rows.column_names)):
        field = SCHEMA.field(name)
        rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(SCHEMA.names).cast(SCHEMA)


def erased_rows(rows: pa.Table | pa.RecordBatch, tombstones: Tombstones) -> pa.Array | None:
    """Which rows (with `ERASURE_COLUMNS`) are to be forgotten, as booleans, or None when none is.

    Beside the rows of erased users these are merges into one: such a row names the account it went to. Its stream is
    another one than the account's, so the times of the two ids are compared.
    """
    if not len(tombstones) or not rows.num_rows:
        return None
    marks: list[Any] = []
    milliseconds, sequences = rows.column("stream_ms"), rows.column("stream_seq")
    for user_id, tombstone in _found(rows.column("user_id"), tombstones):
        until = tombstone.until
        same = pc.and_(pc.equal(milliseconds, until.milliseconds), pc.less_equal(sequences, until.sequence))
        before = pc.or_(pc.less(milliseconds, until.milliseconds), same)
        marks.append(pc.and_(pc.equal(rows.column("user_id"), user_id), before))
    merges = pc.equal(rows.column("type"), MERGE)
    if pc.any(merges).as_py():
        targets = rows.column("target_id")
        for user_id, tombstone in _found(pc.drop_null(targets.filter(merges)), tombstones):
            before = pc.less_equal(milliseconds, tombstone.until.milliseconds)
            marks.append(pc.and_(pc.and_(merges, before), pc.fill_null(pc.equal(targets, user_id), False)))
    if not marks:
        return None
    everything = marks[0]
    for mark in marks[1:]:
        everything = pc.or_(everything, mark)
    return everything if pc.any(everything).as_py() else None


def without_erased(rows: pa.Table, tombstones: Tombstones) -> pa.Table:
    """The rows that are not to be forgotten."""
    mask = erased_rows(rows, tombstones)
    return rows if mask is None else rows.filter(pc.invert(mask))


def _found(user_ids: Any, tombstones: Tombstones) -> list[tuple[str, Tombstone]]:
    known = ((user_id, tombstones.of(user_id)) for user_id in pc.unique(user_ids).to_pylist())
    return [(user_id, tombstone) for user_id, tombstone in known if tombstone is not None]


def _times(seconds: list[float | None]) -> Any:
    """Unix seconds to microseconds, None to null."""
    there = np.array([value is not None for value in seconds])
    micros = np.rint(np.array([value or 0.0 for value in seconds], np.float64) * 1e6).astype(np.int64)
    return pa.array(micros, mask=~there if len(seconds) else None).cast(_TIME)
