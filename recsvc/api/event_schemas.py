"""The bodies of `/v1/events`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from recsvc.api.parameters import Id
from recsvc.api.schemas import Asked, ElementProblem, EventType, Time
from recsvc.eventlog.event import LogEvent
from recsvc.events.times import settle
from recsvc.tokens import MAX_CHARACTERS

MAX_EVENTS: Final = 1_000
MAX_VALUE: Final = 1e6
MAX_POSITION: Final = 32_767

_WITHOUT_ITEM: Final = frozenset({"survey", "unsubscribe"})
_COMPLETIONS: Final = frozenset({"view", "finish"})


class Target(Asked):
    """What somebody is not interested in: an item, everything of a creator, or everything of a topic."""

    type: Literal["item", "creator", "topic"]
    id: Id


class Event(Asked):
    """Something a user did. The fields that others are judged by stand before them."""

    event_id: Annotated[Id, Field(description="Yours; the same id of the same user counts once within 24 hours.")]
    type: EventType
    user_id: Id
    target: Target | None = Field(default=None, description="Of not_interested; none means the item.")
    item_id: Annotated[Id | None, Field(validate_default=True)] = None
    timestamp: Time | None = Field(default=None, description="RFC 3339; none means now.")
    value: Annotated[float, Field(strict=True, ge=-MAX_VALUE, le=MAX_VALUE, allow_inf_nan=False)] | None = Field(
        default=None, description="Completion of a view or finish (0 to 1), a rating, the score of a survey."
    )
    recommendation_id: Annotated[str, Field(max_length=MAX_CHARACTERS)] | None = Field(
        default=None, description="Of the answer that the event follows."
    )
    session_id: Id | None = None
    position: Annotated[int, Field(strict=True, ge=0, le=MAX_POSITION)] | None = Field(
        default=None, description="Where in the list the item stood, from 0."
    )
    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] | None = Field(
        default=None, description="The item's `source` in the answer."
    )

    @field_validator("target")
    @classmethod
    def _only_of_not_interested(cls, target: Target | None, info: ValidationInfo) -> Target | None:
        kind = info.data.get("type")
        if target is not None and kind not in {"not_interested", None}:
            raise ValueError(f"belongs to not_interested, not to {kind}")
        return target

    @field_validator("item_id")
    @classmethod
    def _needed_by_most(cls, item_id: str | None, info: ValidationInfo) -> str | None:
        kind, target = info.data.get("type"), info.data.get("target")
        if target is not None and target.type == "item":
            if item_id not in {None, target.id}:
                raise ValueError("is another item than the target; leave one of them out")
            return str(target.id)
        # A type or a target that is wrong itself is told of already.
        if item_id is None and target is None and kind not in _WITHOUT_ITEM and {"type", "target"} <= info.data.keys():
            or_target = " (or a target)" if kind == "not_interested" else ""
            raise ValueError(f"is required{or_target}: the item that the {kind} is about")
        return item_id

    @field_validator("value")
    @classmethod
    def _completion_is_a_share(cls, value: float | None, info: ValidationInfo) -> float | None:
        kind = info.data.get("type")
        if value is not None and kind in _COMPLETIONS and not 0 <= value <= 1:
            raise ValueError(f"is the completion of the {kind}, from 0 to 1")
        return value

    def logged(self, received: float) -> LogEvent:
        """The event for the log; `received` Unix seconds. Raises `TimeRefused`."""
        timestamp, sent = settle(None if self.timestamp is None else self.timestamp.timestamp(), received)
        target = self.target
        return LogEvent(
            event_id=self.event_id,
            type=self.type,
            user_id=self.user_id,
            timestamp=timestamp,
            item_id=self.item_id,
            value=self.value,
            target_type=None if target is None else target.type,
            target_id=None if target is None else target.id,
            session_id=self.session_id,
            recommendation_id=self.recommendation_id,
            sent_timestamp=sent,
            position=self.position,
            source=self.source,
        )


def _event_schema() -> dict[str, Any]:
    """The schema of an event without references, which would not resolve inside another document."""
    schema = Event.model_json_schema()
    schema["properties"]["target"]["anyOf"][0] = schema.pop("$defs")["Target"]
    return schema


class Events(Asked):
    """What happened, at most 1,000 events; each stands for itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {"event_id": "e-1", "type": "view", "user_id": "u0001", "item_id": "v0003", "value": 0.8},
                        {
                            "event_id": "e-2",
                            "type": "not_interested",
                            "user_id": "u0001",
                            "target": {"type": "creator", "id": "c4"},
                            "timestamp": "2026-11-22T05:00:00Z",
                        },
                    ]
                }
            ]
        }
    )

    events: Annotated[
        list[Any],
        Field(min_length=1, max_length=MAX_EVENTS, json_schema_extra={"items": _event_schema()}),
    ]


class Beacon(Events):
    """The same as `text/plain`, for a browser's `sendBeacon`, which can send no header."""

    key: str | None = Field(default=None, description="Stands for the Authorization header.")


class EventResult(Asked):
    """What became of one event. A duplicate was stored before; a rejected one is wrong, and its problem says how."""

    event_id: str | None = Field(description="As sent; null where it is no id.")
    status: Literal["accepted", "duplicate", "rejected"]
    problem: ElementProblem | None = None


class EventResults(Asked):
    """One result per event, in their order."""

    results: list[EventResult]
