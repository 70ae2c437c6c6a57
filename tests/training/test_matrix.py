"""Events to the training matrix."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.events.schema import EVENT_TYPES
from recsvc.scoring.confidence import session_confidence
from tests.training.events import DAY, START, make_events
from training.matrix import build_matrix, popularity_of, trending_scores

RECIPE = ConfidenceRecipe(
    event_weights={"view": 1.0, "like": 2.0, "skip": -0.5, "not_interested": -4.0, "impression": 0.0},
    half_life_days=10.0,
    weight_cap=5.0,
    minimum_weight=0.1,
    unobserved_weight=0.5,
)


def test_orientation_is_users_by_items() -> None:
    matrix = build_matrix(make_events([("a", "x", "like", 0, None), ("a", "y", "view", 0, None)]), RECIPE, START)
    assert matrix.confidence.shape == (1, 2)
    np.testing.assert_allclose(matrix.confidence.toarray(), [[5.0, 3.0]])


def test_a_faded_pair_is_seen_but_not_fitted() -> None:
    events = make_events([("a", "x", "view", 0, None), ("a", "y", "view", 100, None), ("b", "x", "like", 100, None)])
    matrix = build_matrix(events, RECIPE, START + 100 * DAY)
    assert matrix.confidence[0, 0] == -1.0
    assert matrix.training[0].indices.tolist() == [1]
    assert matrix.seen[0].indices.tolist() == [0, 1]


def test_an_impression_consumes_nothing_and_a_dislike_is_negative() -> None:
    events = make_events([("a", "x", "impression", 0, None), ("a", "y", "not_interested", 0, None)])
    matrix = build_matrix(events, RECIPE, START)
    assert matrix.seen[0].indices.tolist() == [1]
    assert matrix.confidence[0, 1] == pytest.approx(-(1 + 4 / 0.5))


def test_a_pair_whose_weights_cancel_is_never_an_explicit_positive() -> None:
    events = make_events([("a", "x", "like", 0, None), *[("a", "x", "skip", 0, None)] * 4, ("b", "y", "view", 0, None)])
    matrix = build_matrix(events, RECIPE, START)
    assert matrix.training[0].nnz == 0
    assert matrix.confidence[0, 0] == -1.0


def test_popularity_is_the_summed_positive_weight() -> None:
    events = make_events(
        [("a", "x", "like", 0, None), ("b", "x", "view", 0, None), ("b", "y", "not_interested", 0, None)]
    )
    assert build_matrix(events, RECIPE, START).popularity(0.5).tolist() == pytest.approx([3.0, 0.0])


def test_popularity_can_decay_by_a_half_life_of_its_own() -> None:
    events = make_events([("a", "x", "like", 0, None), ("b", "y", "view", 2, None), ("c", "y", "skip", 2, None)])
    recipe = RECIPE.model_copy(update={"popularity_half_life_days": 1.0})
    matrix = build_matrix(events, recipe, START + 2 * DAY)
    found = popularity_of(matrix, events, recipe, START + 2 * DAY)
    assert found.tolist() == pytest.approx([2.0 / 4, 1.0])
    chosen = np.array([True, False, False])
    assert popularity_of(matrix, events, recipe, START + 2 * DAY, chosen).tolist() == pytest.approx([0.5, 0.0])
    assert popularity_of(matrix, events, RECIPE, START + 2 * DAY).tolist() == matrix.popularity(0.5).tolist()


def test_training_and_fold_in_agree_on_the_confidence_of_the_same_events() -> None:
    rng = np.random.default_rng(4)
    rows = [
        ("a", f"v{rng.integers(9)}", EVENT_TYPES[rng.integers(10)], float(rng.random() * 40), float(rng.random()))
        for _ in range(200)
    ]
    rows = [row for row in rows if row[2] != "impression"]
    events = make_events(rows)
    as_of = START + 40 * DAY
    matrix = build_matrix(events, RECIPE, as_of).training
    items, confidence = session_confidence(
        RECIPE, events.items, [row[2] for row in rows], events.values, events.timestamps, as_of
    )
    assert matrix.indices.tolist() == items.tolist()
    np.testing.assert_allclose(matrix.data, confidence, rtol=1e-6)


def test_trending_is_what_rises_not_what_was_always_there() -> None:
    steady = [(f"u{day}", "steady", "like", float(day), None) for day in range(60)]
    rising = [(f"r{n}", "rising", "like", 59.0, None) for n in range(6)]
    events = make_events(steady + rising)
    scores = trending_scores(events, RECIPE, START + 59 * DAY, 2.0, 14.0)
    named = dict(zip(events.item_ids, scores, strict=True))
    assert named["rising"] > named["steady"] >= 0


def test_without_times_nothing_trends() -> None:
    events = make_events([("a", "x", "like", None, None)])
    assert trending_scores(events, RECIPE, None, 2.0, 14.0).tolist() == [0.0]
