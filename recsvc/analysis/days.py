"""UTC days as numbers since 1970-01-01, and as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

_EPOCH: Final = date(1970, 1, 1)


def day_name(day: int) -> str:
    """`2026-11-22`."""
    return (_EPOCH + timedelta(days=int(day))).isoformat()


def day_of(time: datetime) -> int:
    """The UTC day of a time with a zone."""
    return (time.astimezone(UTC).date() - _EPOCH).days
