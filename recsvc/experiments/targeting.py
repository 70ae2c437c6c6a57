"""Whether a user is among those that an experiment is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from recsvc.experiments.definition import Targeting, Value

SECONDS_PER_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What the user resource says: attributes, and when it was first put (Unix seconds), None where there is none;
    `sequence` is the user's number with which it was read, None where it was not."""

    attributes: Mapping[str, str | float | bool] = field(default_factory=dict)
    first_seen: float | None = None
    sequence: int | None = None


NO_TRAITS: Final = Traits()

Aimed = Callable[[Traits, float], bool]
"""Whether a user with these traits is targeted at a moment (Unix seconds)."""


def compiled(targeting: Targeting, started_at: float) -> Aimed:
    """The rule as a function; `started_at` of the phase, Unix seconds."""
    wanted = [
        (name, frozenset(map(_typed, values if isinstance(values, list) else [values])))
        for name, values in targeting.attributes.items()
    ]
    earliest = started_at if targeting.new_users_only else None
    least, most = targeting.first_seen_at_least_days, targeting.first_seen_at_most_days
    by_age = earliest is not None or least is not None or most is not None

    def aimed(traits: Traits, now: float) -> bool:
        for name, values in wanted:
            value = traits.attributes.get(name)
            if value is None or _typed(value) not in values:
                return False
        if not by_age:
            return True
        if traits.first_seen is None:
            return False
        days = (now - traits.first_seen) / SECONDS_PER_DAY
        return (
            (earliest is None or traits.first_seen >= earliest)
            and (least is None or days >= least)
            and (most is None or days <= most)
        )

    return aimed


def _typed(value: Value) -> tuple[bool, Value]:
    """With what sets apart true and 1, which are equal to Python."""
    return isinstance(value, bool), value
