"""An event as the store takes it: the log's entry, and what of it counts before the next training."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from recsvc.eventlog.event import LogEvent, encode
from recsvc.events.schema import TYPE_CODES
from recsvc.events.times import is_recent
from recsvc.store.event_store import IncomingEvent

_FADING: Final = {"creator": "c:", "topic": "t:"}
_REPORTED: Final = "r:"


def incoming(event: LogEvent, user_id: str, received: float) -> IncomingEvent:
    """The event as one of `user_id`, which is another than its own where its user was merged into that one.

    Impressions, events without an item and those from before `is_recent` are logged only.
    """
    if event.user_id != user_id:
        event = replace(event, user_id=user_id)
    recent = None
    impression = event.type == "impression"
    if event.item_id is not None and not impression and is_recent(event.timestamp, received):
        recent = (TYPE_CODES[event.type], event.timestamp, event.value, event.item_id)
    return IncomingEvent(
        event_id=event.event_id,
        payload=encode(event),
        recent=recent,
        unwanted=_unwanted(event),
        raises=not impression,
        unwanted_ms=int(event.timestamp * 1000),
    )


def _unwanted(event: LogEvent) -> str | None:
    """The field under which the store keeps what the user does not want."""
    if event.type == "report" and event.item_id is not None:
        return _REPORTED + event.item_id
    if event.type == "not_interested" and event.target_type in _FADING:
        return f"{_FADING[event.target_type]}{event.target_id}"
    return None
