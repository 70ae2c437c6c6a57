"""Intervals that stay valid however often one looks: the asymptotic confidence sequence.

Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(Annals of Statistics 52, 2024), the two-sided boundary with a normal mixture.
"""

from __future__ import annotations

import math
from typing import Final

from scipy import optimize, stats

TUNED_USERS: Final = 5_000
"""For how many users, all arms of a comparison together, the interval is at its tightest. A choice made beforehand: one
made by looking at the data would void the guarantee."""


def half_width(users: float, alpha: float, tuned_users: float = TUNED_USERS) -> float:
    """Half the interval's width in standard errors of the estimate, N = `users` of both arms.

    √N · √(2(Nρ²+1)/(N²ρ²) · ln(√(Nρ²+1)/α)) with ρ² = (−2 ln α + ln(1 − 2 ln α)) / N*. At level 1 − `alpha` the
    interval holds at every N at once.
    """
    rho_squared = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / tuned_users
    spread = users * rho_squared + 1
    return math.sqrt(users * 2 * spread / (users**2 * rho_squared) * math.log(math.sqrt(spread) / alpha))


def users_needed(effect: float, deviation: float, alpha: float, power: float) -> int:
    """Users of both arms together until the sequence excludes 0 with probability `power`, if `effect` is the truth.

    `deviation` √N times the standard error of the difference: the same at every N for fixed shares of the arms.
    """
    if effect == 0 or not math.isfinite(effect) or not math.isfinite(deviation) or deviation <= 0:
        raise ValueError("an effect other than 0 and a deviation above 0 are needed")
    quantile = float(stats.norm.ppf(power))

    def short_by(log_users: float) -> float:
        users = math.exp(log_users)
        return (half_width(users, alpha) + quantile) * deviation / math.sqrt(users) - abs(effect)

    low, high = math.log(10.0), math.log(1e15)
    if short_by(low) <= 0:
        return 10
    return math.ceil(math.exp(float(optimize.brentq(short_by, low, high)))) if short_by(high) < 0 else 10**15
