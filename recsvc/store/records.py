"""The bytes of a recent event.

Layout, big-endian: type code and flags u8, milliseconds u48 and sequence u16 of the stream id (65,535 for a higher
one), the time (see below), the partition of that stream u8 where it is not the user's own, the value f32 where there
is one, the item id in UTF-8. The time is u8 seconds before the stream id's, or u32 Unix seconds. Fifty events with ids
of 24 characters and values so just fit a block of 2,048 bytes. The scripts write and move these records, Python reads
them.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from recsvc.eventlog.position import PARTITIONS, StreamId

logger = logging.getLogger(__name__)

HAS_VALUE: Final = 0x80
ABSOLUTE_TIME: Final = 0x40
FOREIGN: Final = 0x20
"""Flags beside the type code, which has five bits."""

_HEADER: Final = struct.Struct(">BHIH")  # the milliseconds in two parts: struct has no u48
_AGE: Final = struct.Struct(">B")
_TIME: Final = struct.Struct(">I")
_VALUE: Final = struct.Struct(">f")
_NEW: Final = struct.Struct(">BI")
_NEW_WITH_VALUE: Final = struct.Struct(">BIf")
_LATEST: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """`timestamp` whole Unix seconds; `partition` that of the stream to which `id` belongs: another than the user's for
    an event that came with a merge."""

    type: str
    item_id: str
    timestamp: float
    value: float | None
    partition: int
    id: StreamId


class RecordInvalid(ValueError):  # noqa: N818
    """These bytes are not a recent event this release knows."""


def draft(code: int, timestamp: float, value: float | None, item_id: str) -> bytes:
    """A recent event before it has a stream id, as the script that stores it wants it: type code and flag, Unix seconds
    u32, the value, the item id. `value` is rounded to float32 and must be within its range, or `OverflowError`."""
    seconds = min(max(int(timestamp), 0), _LATEST)
    if value is None:
        return _NEW.pack(code, seconds) + item_id.encode("utf-8")
    return _NEW_WITH_VALUE.pack(code | HAS_VALUE, seconds, value) + item_id.encode("utf-8")


def pack(event: RecentEvent, code: int, own_partition: int) -> bytes:
    """What the scripts store for this event, whose type has this code, of a user of `own_partition`."""
    age = event.id.milliseconds // 1000 - int(event.timestamp)
    flags = HAS_VALUE if event.value is not None else 0
    time = _AGE.pack(age) if 0 <= age <= 0xFF else _TIME.pack(int(event.timestamp))
    flags |= 0 if 0 <= age <= 0xFF else ABSOLUTE_TIME
    foreign = event.partition != own_partition
    flags |= FOREIGN if foreign else 0
    milliseconds, sequence = event.id
    return b"".join(
        (
            _HEADER.pack(code | flags, milliseconds >> 32, milliseconds & _LATEST, min(sequence, 0xFFFF)),
            time,
            bytes((event.partition,)) if foreign else b"",
            b"" if event.value is None else _VALUE.pack(event.value),
            event.item_id.encode("utf-8"),
        )
    )


def unpack(record: bytes, own_partition: int, types: Sequence[str]) -> RecentEvent:
    """The event of a record in the list of a user of `own_partition`; `types` are the event types in the order of their
    codes. Raises `RecordInvalid`."""
    try:
        head, high, low, sequence = _HEADER.unpack_from(record)
        at = _HEADER.size
        milliseconds = (high << 32) | low
        if head & ABSOLUTE_TIME:
            (seconds,) = _TIME.unpack_from(record, at)
            at += 4
        else:
            seconds = milliseconds // 1000 - record[at]
            at += 1
        partition, value = own_partition, None
        if head & FOREIGN:
            partition = record[at]
            at += 1
        if head & HAS_VALUE:
            (value,) = _VALUE.unpack_from(record, at)
            at += 4
        item_id = record[at:].decode("utf-8")
        name = types[head & 0x1F]
    except (struct.error, IndexError, UnicodeDecodeError) as exc:
        raise RecordInvalid(f"{record[:32].hex()} is no recent event: {exc}") from exc
    if not item_id or partition >= PARTITIONS:
        raise RecordInvalid(f"{record[:32].hex()} is no recent event: it names no item")
    return RecentEvent(name, item_id, float(seconds), value, partition, StreamId(milliseconds, sequence))


def unpack_all(records: Iterable[bytes], own_partition: int, types: Sequence[str]) -> list[RecentEvent]:
    """The events of a list, in its order. What cannot be read (damaged, of a later release) is logged and left out."""
    events: list[RecentEvent] = []
    for record in records:
        try:
            events.append(unpack(record, own_partition, types))
        except RecordInvalid as exc:
            logger.warning("a recent event is skipped: %s", exc)
    return events
