"""What the intake of events raises."""

from __future__ import annotations


class EventsRefused(Exception):  # noqa: N818
    """Not all events of a call could be stored, so none of them is acknowledged; the message is for the caller.

    Sent again, those that had been stored come back as duplicates.
    """

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TimeRefused(Exception):  # noqa: N818
    """An event's time cannot be true; the message says why."""
