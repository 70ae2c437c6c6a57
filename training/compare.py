"""Is one model better than another: paired over the same users, with an interval; and the gate before
promotion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from recsvc.bundle.manifest import GateResult
from recsvc.bundle.types import Float32, Float64
from training.errors import TrainingError

_RESAMPLED_VALUES = 4_000_000
"""Values drawn at once by the bootstrap: 32 MB of indices and as much of values."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """B against A on the same users. Differences are b - a.

    `relative` is the difference over A's mean, None where that is 0; `interval` the 95% percentile bootstrap
    interval of the mean difference over users (Efron & Tibshirani 1993, ch. 13); `p_value` of the two-sided
    paired t-test, the one Urbano, Lima & Hanjalic (SIGIR 2019) recommend for such scores; both None under two
    users.
    """

    n_users: int
    mean_a: float
    mean_b: float
    difference: float
    relative: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    n_better: int
    n_worse: int

    def words(self) -> str:
        """One sentence for a person at a terminal."""
        if not self.n_users:
            return "no user to compare over"
        if self.n_better == self.n_worse == 0:
            return f"A and B are the same for every one of {self.n_users:,} users"
        relative = "" if self.relative is None else f" ({self.relative:+.1%})"
        sentence = (
            f"B minus A: {self.difference:+.4f}{relative}; "
            f"better for {self.n_better:,} and worse for {self.n_worse:,} of {self.n_users:,} users"
        )
        if self.interval is None or self.p_value is None:
            return f"{sentence}; too few users for an interval"
        low, high = self.interval
        sure = "clear of chance" if low > 0 or high < 0 else "not told apart from chance"
        return f"{sentence}; 95% interval {low:+.4f} to {high:+.4f}, {sure} (p = {self.p_value:.2g})"


def paired(a: Float32, b: Float32, *, seed: int, resamples: int = 2000) -> PairedComparison:
    """Compares one metric of two models; `a` and `b` float32 (m,), the same user at the same place.

    Raises ValueError where the two differ in length, TrainingError where a value is not finite.
    """
    _check("a", a)
    _check("b", b)
    if len(a) != len(b):
        raise ValueError(f"paired values for {len(a)} and {len(b)} users")
    difference = b.astype(np.float64) - a
    mean_a, mean_b = _mean(a), _mean(b)
    n_users = len(difference)
    return PairedComparison(
        n_users=n_users,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=mean_b - mean_a,
        relative=(mean_b - mean_a) / mean_a if mean_a != 0 else None,
        interval=_interval(difference, seed, resamples) if n_users > 1 else None,
        p_value=_p_value(difference) if n_users > 1 else None,
        n_better=int((difference > 0).sum()),
        n_worse=int((difference < 0).sum()),
    )


def gate(
    candidate: Float32, champion_values: Float32 | None, *, champion: str | None, metric: str, tolerance: float
) -> GateResult:
    """Refuses a candidate whose mean is below the champion's by more than `tolerance`, relatively.

    `candidate` and `champion_values` float32 (m,): `metric` for the same users, None and None without a
    `champion`, which passes. With a champion and no user, nothing shows that the candidate is no worse:
    refused. Raises ValueError where the two differ in length, TrainingError where a value is not finite.
    """
    _check(f"the candidate's {metric}", candidate)
    if champion is None or champion_values is None:
        message = f"passed: there is no champion yet to compare with ({metric} {_mean(candidate):.4f})"
        return _result(candidate, None, None, metric, tolerance, True, message)
    _check(f"{metric} of the champion {champion}", champion_values)
    if len(candidate) != len(champion_values):
        raise ValueError(f"{len(candidate)} users of the candidate, {len(champion_values)} of the champion")
    if not len(candidate):
        message = (
            f"refused: no user has a held-out item, so {metric} cannot be compared with the champion {champion}; "
            "give more events, or another split"
        )
        return _result(candidate, champion_values, champion, metric, tolerance, False, message)
    ours, theirs = _mean(candidate), _mean(champion_values)
    passed = ours >= theirs * (1 - tolerance)
    message = f"{'passed' if passed else 'refused'}: {_against(ours, theirs, champion, metric, tolerance)}"
    return _result(candidate, champion_values, champion, metric, tolerance, passed, message)


def _against(ours: float, theirs: float, champion: str, metric: str, tolerance: float) -> str:
    pair = f"{metric} {ours:.4f} against {theirs:.4f} of the champion {champion}"
    if ours == theirs:
        return f"{pair}, no difference"
    if theirs == 0:
        return f"{pair}, which found nothing"
    change = (ours - theirs) / theirs
    if change > 0:
        return f"{pair}, {change:.2%} better"
    bound = "more than" if ours < theirs * (1 - tolerance) else "within"
    return f"{pair}, {-change:.2%} worse, {bound} the tolerated {tolerance:.2%}"


def _result(
    candidate: Float32,
    champion_values: Float32 | None,
    champion: str | None,
    metric: str,
    tolerance: float,
    passed: bool,
    message: str,
) -> GateResult:
    return GateResult(
        champion=champion,
        metric=metric,
        candidate_value=_mean(candidate),
        champion_value=None if champion_values is None else _mean(champion_values),
        tolerance=tolerance,
        passed=passed,
        message=message,
    )


def _interval(difference: Float64, seed: int, resamples: int) -> tuple[float, float]:
    if _is_constant(difference):
        return float(difference[0]), float(difference[0])
    found = stats.bootstrap(
        (difference,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _RESAMPLED_VALUES // len(difference)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _p_value(difference: Float64) -> float:
    if _is_constant(difference):
        return 1.0 if difference[0] == 0 else 0.0
    return float(stats.ttest_1samp(difference, 0.0).pvalue)


def _is_constant(difference: Float64) -> bool:
    """Whether only rounding tells the users apart: neither the bootstrap nor the t-test is defined there."""
    return bool(np.ptp(difference) <= 1e-9 * np.abs(difference).max())


def _mean(values: Float32) -> float:
    return float(values.mean(dtype=np.float64)) if len(values) else 0.0


def _check(what: str, values: Float32) -> None:
    if not np.isfinite(values).all():
        raise TrainingError(f"{what} is not a finite number for every user: the model cannot be judged by it")
