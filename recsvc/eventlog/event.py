"""One event as the stream carries it, from the service to the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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
    "position": "o",
    "source": "so",
    "team": "tm",
    "propensity": "pr",
}
_EXPERIMENTS: Final = "e"
_NUMBERS: Final = frozenset({"timestamp", "value", "sent_timestamp", "propensity"})
_FORCED, _FALLBACK = 1, 2
_REQUIRED: Final = ("event_id", "type", "user_id", "timestamp")


class Arm(NamedTuple):
    """What an answer was in one experiment: `phase` from 1; `forced` for a test; `fallback` where the variant could not
    be served and the champion answered instead."""

    experiment: str
    phase: int
    variant: str
    forced: bool = False
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class LogEvent:
    """`timestamp` Unix seconds, already corrected for clock skew; `sent_timestamp` what the caller sent where that was
    another. `attribution` "valid" or "invalid" where a `recommendation_id` came; placement, model, `experiments`,
    `team` and `propensity` are the token's. `position` in the list as shown, from 0, and `source` are the caller's.
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
    position: int | None = None
    source: str | None = None
    experiments: tuple[Arm, ...] = ()
    team: str | None = None
    propensity: float | None = None


def encode(event: LogEvent) -> bytes:
    """The event as compact JSON; what is None is left out."""
    raw = {short: value for name, short in _NAMES.items() if (value := getattr(event, name)) is not None}
    if event.experiments:
        raw[_EXPERIMENTS] = [
            (arm.experiment, arm.phase, arm.variant, _FORCED * arm.forced | _FALLBACK * arm.fallback)
            for arm in event.experiments
        ]
    return orjson.dumps(raw)


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
        wanted: Any = (int, float) if name in _NUMBERS else int if name == "position" else str
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise ValueError(f"{name} is {type(value).__name__}")
    arms = raw.get(_EXPERIMENTS, [])
    if not isinstance(arms, list):
        raise ValueError(f"experiments is {type(arms).__name__}")  # noqa: TRY004
    return LogEvent(**values, experiments=tuple(map(_arm, arms)))


def _arm(raw: Any) -> Arm:
    match raw:
        case [str(experiment), int(phase), str(variant), int(flags)]:
            return Arm(experiment, phase, variant, bool(flags & _FORCED), bool(flags & _FALLBACK))
    raise ValueError(f"{raw!r} is no experiment, phase, variant and flags")
