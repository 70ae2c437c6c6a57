"""Events to confidence: weights, values, decay, caps and what fades out."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.scoring.confidence import (
    SECONDS_PER_DAY,
    combined,
    decay,
    pair_weights,
    session_confidence,
    signed_confidence,
)

RECIPE = ConfidenceRecipe(
    event_weights={"view": 1.0, "like": 2.0, "skip": -0.5, "not_interested": -4.0},
    half_life_days=10.0,
    weight_cap=5.0,
    minimum_weight=0.1,
    unobserved_weight=0.5,
)
NOW = 1_700_000_000.0


def _session(*events: tuple[int, str, float, float]):
    rows, types, values, ages = zip(*events, strict=True)
    times = NOW - np.array(ages) * SECONDS_PER_DAY
    return session_confidence(RECIPE, np.array(rows, np.int32), types, np.array(values, np.float32), times, NOW)


def test_an_event_one_half_life_old_counts_half() -> None:
    assert decay(np.array([NOW - 10 * SECONDS_PER_DAY]), NOW, 10.0)[0] == pytest.approx(0.5)


def test_an_event_after_as_of_or_without_a_time_counts_whole() -> None:
    assert decay(np.array([NOW + 5.0, np.nan]), NOW, 10.0).tolist() == [1.0, 1.0]


def test_confidence_is_one_plus_weight_over_the_unobserved_weight() -> None:
    rows, confidence = _session((3, "like", np.nan, 0.0))
    assert rows.tolist() == [3]
    assert confidence[0] == pytest.approx(1 + 2.0 / 0.5)


def test_events_of_a_pair_add_up_and_dislike_wins_when_it_weighs_more() -> None:
    rows, confidence = _session((3, "like", np.nan, 0.0), (3, "not_interested", np.nan, 0.0), (1, "view", np.nan, 0))
    assert rows.tolist() == [1, 3]
    assert confidence.tolist() == pytest.approx([1 + 1 / 0.5, -(1 + 2 / 0.5)])


def test_the_value_scales_a_view_but_not_a_like() -> None:
    _, confidence = _session((1, "view", 0.25, 0.0), (2, "like", 0.25, 0.0))
    assert confidence.tolist() == pytest.approx([1 + 0.25 / 0.5, 1 + 2.0 / 0.5])


def test_a_negative_value_makes_no_dislike() -> None:
    rows, _ = _session((1, "view", -3.0, 0.0), (2, "view", 1.0, 0.0))
    assert rows.tolist() == [2]


def test_the_summed_weight_is_capped_both_ways() -> None:
    _, confidence = _session(*[(1, "like", np.nan, 0.0)] * 9, *[(2, "not_interested", np.nan, 0.0)] * 9)
    assert confidence.tolist() == pytest.approx([1 + 5 / 0.5, -(1 + 5 / 0.5)])


def test_what_fades_below_the_minimum_is_dropped() -> None:
    rows, _ = _session((1, "view", np.nan, 60.0), (2, "view", np.nan, 1.0), (4, "impression", np.nan, 0.0))
    assert rows.tolist() == [2]


def test_a_weight_of_zero_never_becomes_a_positive() -> None:
    recipe = RECIPE.model_copy(update={"minimum_weight": 0.0})
    _, kept = signed_confidence(np.array([0.0, 0.2]), recipe)
    assert kept.tolist() == [False, True]


class TestCombined:
    HISTORY = (np.array([2, 5, 9], np.int32), np.array([3.0, -5.0, -1.0], np.float32))

    def _with(self, *events: tuple[int, str, float]):
        rows, types, ages = zip(*events, strict=True) if events else ((), (), ())
        times = NOW - np.array(ages, dtype=np.float64) * SECONDS_PER_DAY
        news = (np.array(rows, np.int32), types, np.full(len(rows), np.nan, np.float32), times)
        rows, confidence = combined(self.HISTORY, news, RECIPE, NOW)
        assert (rows.dtype, confidence.dtype) == (np.int32, np.float32)
        assert len(set(rows.tolist())) == len(rows)
        return dict(zip(rows.tolist(), confidence.tolist(), strict=True))

    def test_without_news_it_is_the_stored_row_itself(self) -> None:
        news = (np.empty(0, np.int32), (), np.empty(0, np.float32), np.empty(0))
        items, confidence = combined(self.HISTORY, news, RECIPE, NOW)
        assert items is self.HISTORY[0]
        assert confidence is self.HISTORY[1]

    def test_what_has_no_news_keeps_its_confidence_to_the_bit(self) -> None:
        history = (np.arange(50, dtype=np.int32), np.float32(1) + np.random.default_rng(0).random(50, np.float32))
        news = (np.array([7], np.int32), ("like",), np.array([np.nan], np.float32), np.array([NOW]))
        _, confidence = combined(history, news, RECIPE, NOW)
        others = np.arange(50) != 7
        np.testing.assert_array_equal(confidence[others], history[1][others])

    def test_weights_of_a_pair_add_up_as_if_all_were_trained_on(self) -> None:
        found = self._with((2, "like", 0.0), (5, "view", 10.0), (7, "like", 10.0))
        assert found == pytest.approx({2: 1 + 3.0 / 0.5, 5: -(1 + 1.5 / 0.5), 9: -1.0, 7: 1 + 1.0 / 0.5})

    def test_a_faded_pair_comes_back_with_the_weight_of_its_news_alone(self) -> None:
        assert self._with((9, "view", 0.0))[9] == pytest.approx(1 + 1 / 0.5)

    def test_a_dislike_may_turn_a_pair_and_may_take_it_to_nothing(self) -> None:
        assert self._with((2, "not_interested", 0.0))[2] == pytest.approx(-(1 + 3 / 0.5))
        assert self._with((2, "skip", 0.0), (2, "skip", 0.0))[2] == -1.0

    def test_what_fades_is_seen_and_without_effect(self) -> None:
        assert self._with((30, "view", 90.0), (31, "survey", 0.0)).items() >= {30: -1.0, 31: -1.0}.items()

    def test_the_sum_is_capped_both_ways(self) -> None:
        found = self._with(*[(2, "like", 0.0)] * 9, *[(5, "not_interested", 0.0)] * 9)
        assert (found[2], found[5]) == pytest.approx((11.0, -11.0))

    def test_an_event_after_as_of_counts_whole(self) -> None:
        assert self._with((7, "like", -300.0))[7] == pytest.approx(5.0)

    def test_nothing_but_news_is_the_confidence_of_a_session(self) -> None:
        empty = (np.empty(0, np.int32), np.empty(0, np.float32))
        values = np.array([0.5, np.nan, np.nan], np.float32)
        news = (np.array([4, 3, 4], np.int32), ("view", "like", "skip"), values, np.array([NOW, NOW - 1e6, NOW]))
        ours = combined(empty, news, RECIPE, NOW)
        session = session_confidence(RECIPE, news[0], news[1], news[2], news[3], NOW)
        assert dict(zip(*ours, strict=True)) == dict(zip(*session, strict=True)) | {4: -1.0}

    def test_the_weights_of_a_confidence_are_those_it_was_made_of(self) -> None:
        weights = np.array([0.1, -0.2, 4.9, -5.0, 5.0])
        confidence, _ = signed_confidence(weights, RECIPE)
        np.testing.assert_allclose(pair_weights(confidence, RECIPE), weights, rtol=1e-6)
        assert pair_weights(np.array([-1.0], np.float32), RECIPE).tolist() == [0.0]
