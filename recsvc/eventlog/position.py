"""Partitions, and places in their streams."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self
from zlib import crc32

PARTITIONS: Final = 256
"""Fixed for good: another number would move every user's keys and log."""

_TEXT: Final = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)


def partition_of(user_id: str) -> int:
    """The user's partition, 0 to PARTITIONS - 1: CRC-32 of the id's UTF-8 bytes, the same on every machine."""
    return crc32(user_id.encode("utf-8")) % PARTITIONS


class StreamId(NamedTuple):
    """The id of an entry of a Redis stream; ids of one stream ascend. `milliseconds` Unix time of its arrival."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Reads `<milliseconds>-<sequence>`. Raises ValueError."""
        plain = text.decode("ascii", "replace") if isinstance(text, bytes) else text
        found = _TEXT.fullmatch(plain)
        if found is None:
            raise ValueError(f"{plain[:64]!r} is not the id of a stream entry")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


BEGINNING: Final = StreamId(0, 0)
"""Before every entry."""
