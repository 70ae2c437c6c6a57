from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recsvc.bundle.manifest import GateResult
from recsvc.bundle.types import Float32
from training.compare import gate, paired
from training.errors import TrainingError


def values(*numbers: float) -> Float32:
    return np.array(numbers, dtype=np.float32)


class TestPaired:
    def test_a_real_improvement_has_an_interval_above_zero(self) -> None:
        rng = np.random.default_rng(0)
        a = rng.random(500).astype(np.float32)
        b = (a + rng.normal(0.05, 0.1, 500)).astype(np.float32)
        found = paired(a, b, seed=1)
        assert found.interval is not None
        low, high = found.interval
        assert 0 < low < found.difference < high
        # The bootstrap of a mean of 500 is close to the normal interval.
        half = 1.96 * np.std(b - a, ddof=1) / np.sqrt(500)
        assert (high - low) / 2 == pytest.approx(half, rel=0.1)
        assert found.relative == pytest.approx(found.difference / a.mean(), rel=1e-4)
        assert found.p_value == pytest.approx(stats.ttest_rel(b, a).pvalue, rel=1e-3, abs=1e-12)
        assert "clear of chance" in found.words()

    def test_noise_is_not_told_apart_from_chance(self) -> None:
        rng = np.random.default_rng(2)
        a, b = rng.random(300).astype(np.float32), rng.random(300).astype(np.float32)
        found = paired(a, b, seed=1)
        assert found.interval is not None
        assert found.interval[0] < 0 < found.interval[1]
        assert "not told apart from chance" in found.words()

    def test_swapping_the_two_turns_the_sign(self) -> None:
        a, b = values(0, 1, 1, 0.5), values(1, 1, 0.5, 1)
        forth, back = paired(a, b, seed=3), paired(b, a, seed=3)
        assert forth.difference == -back.difference == pytest.approx(0.25)
        assert (forth.n_better, forth.n_worse) == (back.n_worse, back.n_better) == (2, 1)

    def test_the_same_seed_gives_the_same_interval(self) -> None:
        a, b = np.random.default_rng(4).random((2, 60)).astype(np.float32)
        assert paired(a, b, seed=9) == paired(a, b, seed=9)

    def test_equal_models_are_said_to_be_equal(self) -> None:
        found = paired(values(0, 1, 0.5), values(0, 1, 0.5), seed=0)
        assert (found.difference, found.interval, found.p_value) == (0, (0, 0), 1)
        assert "the same for every one of 3 users" in found.words()

    def test_the_same_gain_for_everybody_has_a_point_as_interval(self) -> None:
        found = paired(values(0.1, 0.2, 0.3), values(0.2, 0.3, 0.4), seed=0)
        assert found.interval == pytest.approx((0.1, 0.1), abs=1e-6)

    def test_one_user_has_no_interval(self) -> None:
        found = paired(values(0.5), values(1), seed=0)
        assert (found.interval, found.p_value, found.difference) == (None, None, 0.5)
        assert "too few users" in found.words()

    def test_no_user_is_said_in_words(self) -> None:
        found = paired(values(), values(), seed=0)
        assert (found.n_users, found.difference, found.relative) == (0, 0, None)
        assert found.words() == "no user to compare over"

    def test_against_zero_there_is_no_relative_difference(self) -> None:
        found = paired(values(0, 0), values(1, 0), seed=0)
        assert found.relative is None
        assert "%)" not in found.words()

    def test_different_lengths_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="2 and 1 users"):
            paired(values(1, 2), values(1), seed=0)


def judged(candidate: Float32, champion_values: Float32 | None, tolerance: float = 0.02) -> GateResult:
    champion = None if champion_values is None else "20260101T000000Z-abcdef"
    return gate(candidate, champion_values, champion=champion, metric="ndcg@10", tolerance=tolerance)


class TestGate:
    def test_a_loss_beyond_the_tolerance_is_refused_and_says_by_how_much(self) -> None:
        found = judged(values(0.4, 0.5), values(0.5, 0.5))
        assert not found.passed
        assert "10.00% worse, more than the tolerated 2.00%" in found.message
        assert "20260101T000000Z-abcdef" in found.message
        assert found.candidate_value == pytest.approx(0.45)
        assert found.champion_value == pytest.approx(0.5)

    def test_a_loss_within_the_tolerance_passes(self) -> None:
        found = judged(values(0.495, 0.495), values(0.5, 0.5))
        assert found.passed
        assert "1.00% worse, within the tolerated 2.00%" in found.message

    def test_better_passes(self) -> None:
        found = judged(values(0.6), values(0.5))
        assert found.passed
        assert "20.00% better" in found.message

    def test_equal_passes_without_tolerance(self) -> None:
        numbers = np.random.default_rng(0).random(1001).astype(np.float32)
        found = judged(numbers, numbers.copy(), tolerance=0.0)
        assert found.passed
        assert "no difference" in found.message

    def test_without_tolerance_the_least_loss_is_refused(self) -> None:
        assert not judged(values(0.4999), values(0.5), tolerance=0.0).passed

    def test_without_a_champion_it_passes_and_says_so(self) -> None:
        found = judged(values(0.1), None)
        assert found.passed
        assert (found.champion, found.champion_value) == (None, None)
        assert "no champion" in found.message

    def test_without_a_champion_or_users_it_passes_too(self) -> None:
        found = judged(values(), None)
        assert found.passed
        assert found.candidate_value == 0

    def test_without_users_a_champion_is_not_replaced(self) -> None:
        found = judged(values(), values())
        assert not found.passed
        assert "no user has a held-out item" in found.message

    def test_a_champion_that_found_nothing_is_matched_by_anything(self) -> None:
        assert judged(values(0, 0), values(0, 0)).passed
        found = judged(values(0, 0.1), values(0, 0))
        assert found.passed
        assert "found nothing" in found.message

    def test_values_that_are_not_finite_are_refused_by_name(self) -> None:
        with pytest.raises(TrainingError, match="the candidate's ndcg@10"):
            judged(values(float("nan")), values(0.5))

    def test_different_users_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="2 users of the candidate, 1 of the champion"):
            judged(values(1, 2), values(1))
