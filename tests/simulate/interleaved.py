"""The same two models by interleaving and by an A/B test: do they name the same winner, and how soon?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from scipy import stats

_POWER: Final = 0.8
_LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a method found: `winner` by the sign of its estimate, `z` the estimate in standard errors, from `users`."""

    winner: str
    z: float
    users: int

    @property
    def users_needed(self) -> float:
        """Users with whom a difference of the size seen is shown at 5 %, in four of five experiments. By the normal
        approximation: z grows with the root of the users."""
        wanted = float(stats.norm.isf(_LEVEL / 2) + stats.norm.isf(1 - _POWER))
        return self.users * (wanted / self.z) ** 2 if self.z else math.inf


def by_comparison(report: Mapping[str, Any]) -> Sensitivity | None:
    """The A/B test of the report's first treatment; None where there was nothing to compare."""
    comparison = report["comparisons"][0]
    effect = comparison["primary"]["effect"]
    if effect is None:
        return None
    z = effect["difference"]["value"] / effect["standard_error"]
    winner = comparison["variant"] if z > 0 else report["definition"]["control"]
    return Sensitivity(winner, abs(z), effect["control_users"] + effect["treatment_users"])


def by_interleaving(report: Mapping[str, Any], first: str, second: str) -> Sensitivity | None:
    """The preference between the teams, `first` being team a; None where too few users showed one."""
    if not report["preferences"] or report["preferences"][0]["interval"] is None:
        return None
    found = report["preferences"][0]
    low, high = found["interval"]
    z = found["score"] / ((high - low) / 2 / float(stats.t.isf(_LEVEL / 2, found["users"] - 1)))
    return Sensitivity(second if z > 0 else first, abs(z), found["users"])
