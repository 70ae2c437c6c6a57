"""One event as the stream carries it, from the service to the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

MERGE: Final = "merge"
"""Type of the entry that says: from here on this user is `target_id`. It is no event of a caller's."""

_NAMES: Final = {
    "event_id": "i",
    "type": "t",
    "user_id": "u",
    "timestamp": "ts",
    "item_id": "v",
    "value": "x",
    "target_type": "tt",
    "target_id": "ti",
    "session_id": "s",
    "recommendation_id": "r",
    "attribution": "a",
    "placement": "p",
    "model_version": "m",
    "sent_timestamp": "st",
}
_TEXTS: Final = frozenset(_NAMES) - {"timestamp", "value", "sent_timestamp"}
_REQUIRED: Final = ("event_id", "type", "user_id", "timestamp")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """`timestamp` Unix seconds, already corrected for clock skew; `sent_timestamp` what the caller sent where that was
    another. `attribution` "valid" or "invalid" where a `recommendation_id` came; placement and model are the token's.
    """

    event_id: str
    type: str
    user_id: str
    timestamp: float
    item_id: str | None = None
    value: float | None = None
    target_type: str | None = None
    target_id: str | None = None
    session_id: str | None = None
    recommendation_id: str | None = None
    attribution: str | None = None
    placement: str | None = None
    model_version: str | None = None
    sent_timestamp: float | None = None


def encode(event: LogEvent) -> bytes:
    """The event as compact JSON; what is None is left out."""
    return orjson.dumps({short: value for name, short in _NAMES.items() if (value := getattr(event, name)) is not None})


def decode(payload: bytes) -> LogEvent:
    """The event that `encode` wrote. Raises ValueError saying what is wrong with bytes that are none."""
    raw: Any = orjson.loads(payload)
    if not isinstance(raw, dict):
        raise ValueError("the entry is not a JSON object")  # noqa: TRY004 - one kind of error for all that is damaged
    for name in _REQUIRED:
        if raw.get(_NAMES[name]) is None:
            raise ValueError(f"the entry has no {name}")
    values: dict[str, Any] = {name: raw.get(short) for name, short in _NAMES.items()}
    for name, value in values.items():
        wanted: Any = str if name in _TEXTS else (int, float)
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise ValueError(f"{name} is {type(value).__name__}")
    return LogEvent(**values)
