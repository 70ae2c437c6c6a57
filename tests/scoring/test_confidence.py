"""Events to confidence: weights, values, decay, caps and what fades out."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.scoring.confidence import SECONDS_PER_DAY, decay, session_confidence, signed_confidence

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
