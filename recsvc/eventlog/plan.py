"""Which files a compaction merges, so that an event is rewritten a few times in all, not once per compaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from recsvc.eventlog.files import LogFile

SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""No segment is made much larger."""

_TAIL_FILES: Final = 16
_TAIL_BYTES: Final = 16 * 1024 * 1024
_TAIL_AGE_SECONDS: Final = 86_400.0
_ALIKE: Final = 8
_SMALLEST_BYTES: Final = 64 * 1024


def groups_to_merge(chain: Sequence[LogFile], now: float, *, whole: bool = False) -> list[list[LogFile]]:
    """Runs of neighbours of the chain, each to become one segment; none when it is too early.

    The tail is due when it has 16 files, 16 MB, or two files of which one is a day old (`whole`: when it has any).
    The segments before it join when eight in a row have come to the same size class, by powers of eight.
    """
    tail = [file for file in chain if not file.is_segment]
    segments = [file for file in chain if file.is_segment]
    if not tail or not (whole or _is_due(tail, now)):
        return []
    group = list(tail)
    while True:
        size = sum(file.size_bytes for file in group)
        alike = 0
        while alike < len(segments) and _joins(segments[-1 - alike].size_bytes, size):
            alike += 1
        if alike + 1 < _ALIKE or not alike:
            break
        joining = segments[-alike:]
        group = joining + group
        segments = segments[:-alike]
    return _split(group)


def _is_due(tail: Sequence[LogFile], now: float) -> bool:
    old = now - tail[0].last.milliseconds / 1000 > _TAIL_AGE_SECONDS
    return len(tail) >= _TAIL_FILES or sum(f.size_bytes for f in tail) >= _TAIL_BYTES or (old and len(tail) > 1)


def _joins(segment_bytes: int, group_bytes: int) -> bool:
    return segment_bytes < SEGMENT_BYTES // 2 and _size_class(segment_bytes) <= _size_class(group_bytes)


def _size_class(size_bytes: int) -> int:
    return max(0, math.ceil(math.log(max(1, min(size_bytes, SEGMENT_BYTES)) / _SMALLEST_BYTES, 8)))


def _split(group: Sequence[LogFile]) -> list[list[LogFile]]:
    """The group in parts of a segment's size; a large segment that would be alone stays as it is."""
    parts: list[list[LogFile]] = [[]]
    size = 0
    for file in group:
        if parts[-1] and size + file.size_bytes > SEGMENT_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(file)
        size += file.size_bytes
    return [part for part in parts if len(part) > 1 or not part[0].is_segment]
