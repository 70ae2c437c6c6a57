"""What a user does not want: how long it is left out, and how it comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from recsvc.scoring.confidence import SECONDS_PER_DAY

LEFT_OUT_DAYS: Final = 7.0
"""So long nothing of an unwanted creator or topic comes."""
HALF_LIFE_DAYS: Final = 14.0
"""In so many days after that, half of what is still taken off the scores is forgiven."""
FORGOTTEN: Final = 0.95
"""A multiplier that has come so far counts as 1."""

_CREATOR, _TOPIC, _REPORTED = "c:", "t:", "r:"


def multiplier(age_seconds: float) -> float:
    """By what scores are multiplied so long after a `not_interested`: 0 is left out, 1 is forgotten.

    0 for LEFT_OUT_DAYS, then 1 − 2^(−(age − LEFT_OUT_DAYS) / HALF_LIFE_DAYS).
    """
    days = age_seconds / SECONDS_PER_DAY - LEFT_OUT_DAYS
    if days < 0:
        return 0.0
    back = float(1.0 - 2.0 ** (-days / HALF_LIFE_DAYS))
    return 1.0 if back >= FORGOTTEN else back


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Multipliers below 1 of `creators` and `topics` (categories), and `items` that were reported, hidden for good."""

    creators: Mapping[str, float] = field(default_factory=dict)
    topics: Mapping[str, float] = field(default_factory=dict)
    items: tuple[str, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, float], now: float) -> Unwanted:
        """From the fields that Redis keeps: `c:<creator>`, `t:<topic>`, `r:<item>` → Unix seconds."""
        return cls(
            creators=_multipliers(fields, _CREATOR, now),
            topics=_multipliers(fields, _TOPIC, now),
            items=tuple(name.removeprefix(_REPORTED) for name in fields if name.startswith(_REPORTED)),
        )

    def __bool__(self) -> bool:
        return bool(self.creators or self.topics or self.items)


def _multipliers(fields: Mapping[str, float], prefix: str, now: float) -> dict[str, float]:
    found = {name.removeprefix(prefix): multiplier(now - at) for name, at in fields.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if value < 1.0}
