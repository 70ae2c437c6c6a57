"""How many users it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tea_tasting.aggr import Aggregates as Moments
from tea_tasting.metrics.mean import RatioOfMeans

from recsvc.analysis.effects import COVARIATE, has_covariates, residual_variance
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.metrics import Metric
from recsvc.analysis.sequential import users_needed

POWER: Final = 0.8
"""The chance of seeing the effect, if it is there."""


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Users of both arms together that see a relative `effect` with a chance of `POWER`.

    `fixed` for one look at the end, `always` for looking whenever one likes (the report does). `mean` of the metric,
    and `deviation` of one user's value, by which it was computed; `variance_saved` by CUPED, as a share.
    """

    effect: float
    fixed: int
    always: int
    mean: float
    deviation: float
    variance_saved: float


def sample_size(
    metric: Metric, users: Moments, effect: float, *, alpha: float = 0.05, ratio: float = 1.0
) -> SampleSize:
    """The sample size by the variance among `users`; `ratio` treated users per user of the control.

    Raises `AnalysisRefused` where they do not vary, or the metric is 0.
    """
    pair = (metric.numerator, metric.denominator)
    if users.count() < 2 or any(users.mean(name) == 0 for name in metric.columns) or users.var(metric.numerator) == 0:
        raise AnalysisRefused(
            f"{metric.name}: {users.count()} users of the period have no variation in it to compute a sample size by; "
            "take a longer period or another metric"
        )
    plain = residual_variance(metric, users)
    covariate = COVARIATE if has_covariates(metric, users) else None
    variance = residual_variance(metric, users, covariate)
    names = [None if covariate is None or name is None else covariate + name for name in pair]
    test = RatioOfMeans(
        *pair,
        *names,
        rel_effect_size=effect,
        alpha=alpha,
        power=POWER,
        ratio=ratio,
        use_t=False,
        equal_var=False,
    )
    (fixed,) = test.solve_power_from_aggregates(users, "n_obs")
    mean = float(users.mean(metric.numerator) / users.mean(metric.denominator))
    # Standard error of the difference is √(σ²/n_c + σ²/n_t); times √N it does not depend on N.
    spread = math.sqrt(variance * (2 + ratio + 1 / ratio))
    always = users_needed(effect * mean, spread, alpha, POWER)
    return SampleSize(effect, int(fixed.n_obs), always, mean, math.sqrt(variance), 1 - variance / plain)
