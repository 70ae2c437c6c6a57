"""The rules of time: what becomes of the time that a caller gives an event."""

from __future__ import annotations

from typing import Final

from recsvc.events.errors import TimeRefused

EARLIEST: Final = 946_684_800.0
"""2000-01-01T00:00:00Z in Unix seconds: what claims to be older comes from a clock that was never set."""

MAX_AHEAD_SECONDS: Final = 24 * 3600.0
"""A clock that is further ahead is not skewed but wrong."""

RECENT_SECONDS: Final = 30 * 24 * 3600.0
"""An event older than this goes to the log alone, and counts at the next training."""


def settle(sent: float | None, received: float) -> tuple[float, float | None]:
    """The time that counts, and what was sent where that is another; Unix seconds throughout.

    Without a time it is the receipt's, and so it is for a clock that is ahead. Raises `TimeRefused`.
    """
    if sent is None:
        return received, None
    if sent > received:
        if sent - received > MAX_AHEAD_SECONDS:
            raise TimeRefused("is more than 24 hours ahead of this service's clock; correct the sender's clock")
        return received, sent
    if sent < EARLIEST:
        raise TimeRefused("is before 2000-01-01; correct the sender's clock, or leave the time out")
    return sent, None


def is_recent(timestamp: float, received: float) -> bool:
    """Whether an event of this time is folded in before the next training."""
    return received - timestamp <= RECENT_SECONDS
