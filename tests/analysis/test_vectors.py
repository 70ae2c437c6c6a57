"""Published figures: docs/experiment-report.md says whose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tea_tasting.aggr import Aggregates as Moments

from recsvc.analysis.definition import Variant
from recsvc.analysis.effects import effect, moments, residual_variance
from recsvc.analysis.metrics import METRICS, Metric
from recsvc.analysis.power import sample_size
from recsvc.analysis.retention import bracket, exact, lifecycle, recurring, rolling
from recsvc.analysis.sequential import half_width, users_needed
from recsvc.analysis.srm import sample_ratio

P1, P2, P3, P4 = range(4)


def activity(days: dict[int, set[int]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([(user, day) for user, those in days.items() for day in sorted(those)])
    return pairs[:, 0], pairs[:, 1]


class TestSampleRatio:
    @pytest.mark.parametrize(
        ("observed", "weights", "p_value"),
        [
            ([1000, 1200], [0.5, 0.5], 2.0079e-5),
            ([310, 98], [0.75, 0.25], 0.647434),
            ([500, 500, 600], [0.34, 0.33, 0.33], 0.000592638),
        ],
    )
    def test_growthbook(self, observed: list[int], weights: list[float], p_value: float) -> None:
        variants = [Variant(str(at), weight) for at, weight in enumerate(weights)]
        found = sample_ratio({str(at): users for at, users in enumerate(observed)}, variants)
        assert found.p_value == pytest.approx(p_value, rel=1e-4)
        assert found.mismatch == (p_value < 0.001)

    def test_arms_without_weight_take_no_part(self) -> None:
        variants = [Variant("a", 1), Variant("b", 1), Variant("off", 0)]
        assert sample_ratio({"a": 500, "b": 500, "off": 900}, variants).p_value == 1

    def test_weights_need_not_sum_to_one(self) -> None:
        counts = {"a": 1000, "b": 1200}
        assert sample_ratio(counts, [Variant("a", 3), Variant("b", 3)]).p_value == pytest.approx(2.0079e-5, rel=1e-4)

    def test_nobody_exposed_is_no_mismatch(self) -> None:
        assert not sample_ratio({}, [Variant("a", 1), Variant("b", 1)]).mismatch


def test_cuped_theta() -> None:
    X, Y = np.array([0.3, 0.5, 0.9, 22.0]), np.array([2.0, 1, 5, 3])
    both = moments({"views": Y, "before_views": X})
    both = both + both
    assert both.cov("views", "before_views") / both.var("before_views") == pytest.approx(0.01864, abs=5e-6)
    # The variance that is left is that of Y − θ(X − X̄), written out.
    X2, Y2 = np.tile(X, 2), np.tile(Y, 2)
    left = Y2 - 0.018642 * (X2 - X2.mean())
    assert residual_variance(METRICS["views"], both, "before_") == pytest.approx(left.var(ddof=1), rel=1e-6)


def test_cuped_effect_is_the_adjusted_difference() -> None:
    rng = np.random.default_rng(4)
    X = [rng.normal(10, 3, 400), rng.normal(10, 3, 500)]
    Y = [2 + x + rng.normal(0, 1, len(x)) + lift for x, lift in zip(X, (0, 0.3), strict=True)]
    arms = [moments({"views": y, "before_views": x}) for x, y in zip(X, Y, strict=True)]
    both = arms[0] + arms[1]
    theta = both.cov("views", "before_views") / both.var("before_views")
    adjusted = [y - theta * (x - both.mean("before_views")) for x, y in zip(X, Y, strict=True)]
    found = effect(METRICS["views"], *arms)
    assert found is not None
    error = math.sqrt(sum(values.var(ddof=1) / len(values) for values in adjusted))
    assert found.difference.value == pytest.approx(adjusted[1].mean() - adjusted[0].mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(found.difference.value) / error), rel=1e-9)
    assert found.variance_saved > 0.8


def test_ratio_by_the_delta_method() -> None:
    rng = np.random.default_rng(7)
    arms = []
    errors = []
    for rate in (0.2, 0.25):
        D = rng.poisson(12, 900) + 1.0
        M = rng.binomial(D.astype(int), rate).astype(float)
        arms.append(moments({"clicks": M, "impressions": D}))
        m, d = M.mean(), D.mean()
        cov = np.cov(M, D)
        var = cov[0, 0] / d**2 - 2 * m * cov[0, 1] / d**3 + m**2 * cov[1, 1] / d**4
        errors.append(var / len(M))
    found = effect(METRICS["ctr"], *arms)
    assert found is not None
    assert found.standard_error == pytest.approx(math.sqrt(sum(errors)), rel=1e-9)
    assert found.control == pytest.approx(arms[0].mean("clicks") / arms[0].mean("impressions"))


def test_asymptotic_confidence_sequence_of_gbstats() -> None:
    n = np.array([3000, 3461])
    mean = np.array([1396.87, 2422.7]) / n
    var = (np.array([52377.9767, 134698.29]) - n * mean**2) / (n - 1)
    lift = mean[1] / mean[0] - 1
    error = math.sqrt(var[1] / n[1] / mean[0] ** 2 + var[0] / n[0] * mean[1] ** 2 / mean[0] ** 4)
    half = error * half_width(n.sum(), 0.05, tuned_users=1000)
    assert (lift, lift - half, lift + half) == pytest.approx((0.50336, -0.55844, 1.56516), abs=1e-5)


def test_always_valid_interval_is_the_wider_one() -> None:
    for users in (100, 5_000, 1_000_000):
        assert half_width(users, 0.05) > stats.norm.isf(0.025)


def test_users_needed_reach_the_power_that_was_asked_for() -> None:
    users = users_needed(0.1, 2.0, 0.05, 0.8)
    error = 2.0 / math.sqrt(users)
    assert half_width(users, 0.05) * error + stats.norm.ppf(0.8) * error == pytest.approx(0.1, rel=1e-4)
    assert users_needed(0.05, 2.0, 0.05, 0.8) > 3.9 * users


def test_sample_size_is_the_textbook_formula() -> None:
    users = Moments(1000, {"views": 5.0}, {"views": 16.0}, {})
    found = sample_size(METRICS["views"], users, 0.05)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found.fixed == pytest.approx(4 * 16 * (z / 0.25) ** 2, rel=1e-3)
    assert found.always > found.fixed


def test_covariates_make_the_sample_smaller() -> None:
    users = Moments(
        1000,
        {"views": 5.0, "before_views": 5.0},
        {"views": 16.0, "before_views": 16.0},
        {("before_views", "views"): 12.0},
    )
    plain = sample_size(METRICS["views"], Moments(1000, {"views": 5.0}, {"views": 16.0}, {}), 0.05)
    found = sample_size(METRICS["views"], users, 0.05)
    assert found.variance_saved == pytest.approx(1 - (1 - 0.75**2))
    assert found.fixed == pytest.approx(plain.fixed * (1 - 0.75**2), rel=1e-3)


class TestNothingToTest:
    def test_no_variation(self) -> None:
        none = moments({"views": np.zeros(100)})
        assert effect(METRICS["views"], none, none) is None

    def test_no_denominator(self) -> None:
        none = moments({"clicks": np.ones(100), "impressions": np.zeros(100)})
        assert effect(METRICS["ctr"], none, none) is None

    def test_too_few_users(self) -> None:
        few = moments({"views": np.arange(20.0)})
        assert effect(METRICS["views"], few, few) is None

    def test_a_control_of_zero_has_no_relative_effect(self) -> None:
        rng = np.random.default_rng(1)
        control, treatment = moments({"reports": np.zeros(100)}), moments({"reports": rng.poisson(1, 100) * 1.0})
        found = effect(METRICS["reports"], control, treatment)
        assert found is not None
        assert found.relative is None
        assert found.difference.value > 0

    def test_covariates_that_explain_everything(self) -> None:
        values = np.arange(100.0)
        same = moments({"views": values, "before_views": values})
        found = effect(METRICS["views"], same, same)
        assert found is not None
        assert found.variance_saved == 0

    def test_new_users_have_no_covariates(self) -> None:
        rng = np.random.default_rng(3)
        columns = {"clicks": rng.poisson(2, 100) * 1.0, "impressions": rng.poisson(9, 100) + 1.0}
        arm = moments(columns | {f"before_{name}": np.zeros(100) for name in columns})
        assert effect(METRICS["ctr"], arm, arm) == effect(METRICS["ctr"], moments(columns), moments(columns))


def test_recurring_retention_of_posthog() -> None:
    found = recurring(*activity({P1: {0, 1, 2, 5, 6}, P2: {1, 2, 3, 6}}), days=7)
    assert found[0] == [1, 1, 1, 0, 0, 1, 1]
    assert found[1] == [2, 2, 1, 0, 1, 2]


def test_lifecycle_of_posthog() -> None:
    found = lifecycle(*activity({P1: {11, 12, 13, 15, 17, 19}, P2: {9, 12}, P3: {12}, P4: {15}}), 9, 20)
    assert found.new.tolist() == [1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert found.current.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert found.resurrected.tolist() == [0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 1]
    assert found.dormant.tolist() == [0, 1, 0, 0, 2, 1, 0, 2, 0, 1, 0]


class TestRetention:
    """Three users exposed on days 0, 0 and 5; day 8 is running."""

    first = np.array([0, 0, 5])
    user, day = activity({0: {0, 1, 7, 8}, 1: {0, 3}, 2: {5, 8}})

    def test_day_seven_is_not_read_before_day_eight(self) -> None:
        found = exact(7, self.first, self.user, self.day, today=8)
        assert found.users.tolist() == [0, 1]
        assert found.came_back.tolist() == [True, False]
        assert not len(exact(7, self.first, self.user, self.day, today=7).users)

    def test_rolling_counts_any_later_day(self) -> None:
        found = rolling(1, self.first, self.user, self.day, today=8)
        assert found.came_back.tolist() == [True, True, False]  # the third user's day 8 is not over

    def test_bracket_needs_its_last_day(self) -> None:
        found = bracket(1, 3, self.first, self.user, self.day, today=8)
        assert found.users.tolist() == [0, 1]
        assert found.came_back.tolist() == [True, True]


def test_every_metric_has_columns_of_its_own() -> None:
    assert len({metric.columns for metric in METRICS.values()}) == len(METRICS)
    assert all(isinstance(metric, Metric) for metric in METRICS.values())
