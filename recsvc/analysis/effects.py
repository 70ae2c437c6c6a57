"""The effect of a variant on a metric: the difference to the control, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import stats
from tea_tasting.aggr import Aggregates as Moments
from tea_tasting.metrics.mean import MeanResult, RatioOfMeans

from recsvc.analysis.metrics import Metric
from recsvc.analysis.sequential import half_width
from recsvc.bundle.types import Float64

LEAST_USERS: Final = 50
"""Per arm; with fewer the normal approximation behind every interval is not to be trusted."""

COVARIATE: Final = "before_"

_NO_VARIANCE: Final = 1e-12

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """`fixed` holds when looked at once, at an end set beforehand; `always` holds whenever it is looked at."""

    value: float
    fixed: Interval
    always: Interval


@dataclass(frozen=True, slots=True)
class Effect:
    """Treatment minus control, and that difference as a share of the control (None where the control is 0 or less).

    Intervals are at level 1 − `alpha`; `p_value` belongs to the fixed one. `control` and `treatment` are the means, or
    ratios; adjusted by CUPED where `variance_saved`, the share of the variance that the covariate took, is above 0.
    """

    control_users: int
    treatment_users: int
    control: float
    treatment: float
    difference: Estimate
    relative: Estimate | None
    standard_error: float
    p_value: float
    alpha: float
    variance_saved: float = 0.0

    @property
    def users(self) -> int:
        """Of both arms."""
        return self.control_users + self.treatment_users


def moments(columns: Mapping[str, Float64]) -> Moments:
    """Count, means, variances and covariances (n − 1 in the denominator) of columns (n_users,)."""
    names = list(columns)
    matrix = np.vstack([columns[name] for name in names])
    users = matrix.shape[1]
    covariances = np.atleast_2d(np.cov(matrix)) if users > 1 else np.zeros((len(names), len(names)))
    pairs = {
        (left, right): float(covariances[i, j])
        for i, left in enumerate(names)
        for j, right in enumerate(names)
        if left < right
    }
    means = matrix.mean(axis=1) if users else np.zeros(len(names))
    return Moments(
        users,
        {name: float(value) for name, value in zip(names, means, strict=True)},
        {name: float(covariances[i, i]) for i, name in enumerate(names)},
        pairs,
    )


def effect(metric: Metric, control: Moments, treatment: Moments, alpha: float = 0.05) -> Effect | None:
    """The effect of a metric from the moments of its columns and, where they are there, of their covariates.

    A ratio's variance is by the delta method, users being the unit; covariates are taken off by CUPED, with one θ for
    both arms. None where there is nothing to test: too few users, no variation, or a denominator of zero.
    """
    arms = (control, treatment)
    if min(arm.count() for arm in arms) < LEAST_USERS or not all(_measurable(metric, arm) for arm in arms):
        return None
    if max(residual_variance(metric, arm) for arm in arms) <= 0:
        return None
    both = control + treatment
    plain = residual_variance(metric, both)
    adjusted = residual_variance(metric, both, COVARIATE) if all(has_covariates(metric, arm) for arm in arms) else plain
    # Where the past explains everything, or nothing, there is no variance left to test by, or none to save.
    covariate = COVARIATE if _NO_VARIANCE * plain < adjusted < plain else None
    found = _analysed(metric, control, treatment, alpha, covariate)
    return found if covariate is None else replace(found, variance_saved=1 - adjusted / plain)


def _analysed(metric: Metric, control: Moments, treatment: Moments, alpha: float, covariate: str | None) -> Effect:
    covariates = [None if covariate is None else covariate + name for name in metric.columns]
    test = RatioOfMeans(
        metric.numerator,
        metric.denominator,
        covariates[0],
        covariates[1] if len(covariates) > 1 else None,
        confidence_level=1 - alpha,
        use_t=False,
        equal_var=False,
    )
    found = test.analyze_aggregates(control, treatment)
    quantile = float(stats.norm.isf(alpha / 2))
    stretch = half_width(control.count() + treatment.count(), alpha) / quantile
    fixed = (float(found.effect_size_ci_lower), float(found.effect_size_ci_upper))
    half = (fixed[1] - fixed[0]) / 2
    always = (found.effect_size - stretch * half, found.effect_size + stretch * half)
    return Effect(
        control_users=control.count(),
        treatment_users=treatment.count(),
        control=float(found.control),
        treatment=float(found.treatment),
        difference=Estimate(float(found.effect_size), fixed, always),
        relative=_relative(found, stretch),
        standard_error=half / quantile,
        p_value=float(found.pvalue),
        alpha=alpha,
    )


def _relative(found: MeanResult, stretch: float) -> Estimate | None:
    """The relative interval is one of the ratio's logarithm, so that is what an always valid one stretches."""
    if found.control <= 0 or found.treatment <= 0:
        return None
    middle = math.log1p(found.rel_effect_size)
    half = stretch * (math.log1p(found.rel_effect_size_ci_upper) - middle)
    return Estimate(
        float(found.rel_effect_size),
        (float(found.rel_effect_size_ci_lower), float(found.rel_effect_size_ci_upper)),
        (math.expm1(middle - half), math.expm1(middle + half)),
    )


def residual_variance(metric: Metric, users: Moments, covariate: str | None = None) -> float:
    """σ² of one user's value, after CUPED where the prefix `covariate` is given: σ²_Y − cov(Y, X)²/σ²_X.

    Those of ratios are by the delta method. Denominators must not be 0.
    """
    plain = float(users.ratio_var(metric.numerator, metric.denominator))
    if covariate is None:
        return plain
    names = (covariate + metric.numerator, None if metric.denominator is None else covariate + metric.denominator)
    spread = float(users.ratio_var(*names))
    shared = float(users.ratio_cov(metric.numerator, metric.denominator, *names))
    return plain - shared**2 / spread if spread > 0 else plain


def has_covariates(metric: Metric, users: Moments) -> bool:
    """Whether CUPED has something to adjust by: covariates that vary, and no denominator of zero."""
    names = [COVARIATE + name for name in metric.columns]
    return all(name in users.var_ and users.var(name) > 0 for name in names) and _measurable(metric, users, COVARIATE)


def _measurable(metric: Metric, users: Moments, prefix: str = "") -> bool:
    return metric.denominator is None or users.mean(prefix + metric.denominator) > 0
