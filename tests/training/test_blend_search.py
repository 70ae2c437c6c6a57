"""The search for weights: what is offered, what it is worth, and what is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from recsvc.bundle.manifest import COMPONENTS, BlendSpec, Component
from recsvc.bundle.types import Float64
from recsvc.scoring.blend import BlendScorer, popularity_scores
from training import blend_search
from training.blend_ranker import BlendRanker
from training.blend_search import Offers, best_shares, offers_of
from training.config import SpectrumConfig
from training.fitted import neighbours_of
from training.index import build_index
from training.metrics import accuracy
from training.spectrum import fit_spectrum

N_USERS, N_ITEMS = 40, 60
RNG = np.random.default_rng(3)
VECTORS = RNG.standard_normal((N_USERS, 4)).astype(np.float32)
ITEMS = RNG.standard_normal((N_ITEMS, 4)).astype(np.float32)
POPULARITY = (RNG.random(N_ITEMS) * 9).astype(np.float32)
TRAIN = csr_matrix((RNG.random((N_USERS, N_ITEMS)) < 0.1).astype(np.float32))
TEST = csr_matrix(((RNG.random((N_USERS, N_ITEMS)) < 0.1) & (TRAIN.toarray() == 0)).astype(np.float32) + 0)
WEIGHTS = csr_matrix(random_sparse(N_ITEMS, N_ITEMS, 0.3, random_state=0), dtype=np.float32)
WEIGHTS.sort_indices()
SPECTRUM = fit_spectrum(TRAIN, SpectrumConfig(dimensions=6, user_exponent=0.5, item_exponent=0.5))


def offered(components: tuple[Component, ...] = COMPONENTS) -> Offers:
    shown = np.flatnonzero(np.diff(TEST.indptr))
    return offers_of(
        VECTORS[shown],
        ITEMS,
        TRAIN[shown],
        WEIGHTS,
        popularity_scores(POPULARITY),
        SPECTRUM,
        TRAIN[shown],
        TEST[shown],
        components,
    )


@pytest.mark.parametrize(
    "weights", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0.3, 2.0, 5.0, 0), (1, 2, 0, 3), (0, 2, 0, 3), (0, 0, 0, 1)]
)
def test_what_weights_are_worth_is_what_the_lists_of_the_service_are_worth(weights: tuple[float, ...]) -> None:
    shown = np.flatnonzero(np.diff(TEST.indptr)).astype(np.int32)
    spec = BlendSpec(bounds=[], weights={name: [w] for name, w in zip(COMPONENTS, weights, strict=True)})
    scorer = BlendScorer(build_index(ITEMS), ITEMS, neighbours_of(WEIGHTS), POPULARITY, spec, SPECTRUM)
    served = BlendRanker("blend", scorer, VECTORS, TRAIN).rank(shown, TRAIN, 10)
    expected = accuracy(served, csr_matrix(TEST[shown]), (10,))["ndcg@10"]
    np.testing.assert_allclose(offered().measured(np.array(weights), "ndcg@10"), expected, rtol=1e-5)


def test_weights_may_differ_between_users() -> None:
    offers = offered()
    first, rest = (offers.measured(np.array(w), "ndcg@10") for w in ([1.0, 0, 0, 0], [0, 0, 1.0, 0]))
    each = np.tile([0, 0, 1.0, 0], (len(offers), 1))
    each[0] = [1.0, 0, 0, 0]
    np.testing.assert_array_equal(offers.measured(each, "ndcg@10"), [first[0], *rest[1:]])


def test_nothing_is_offered_twice_or_that_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blend_search, "_OFFERED", 9)
    monkeypatch.setattr(blend_search, "_SCORES_PER_BLOCK", 3 * N_ITEMS)
    shown = np.flatnonzero(np.diff(TEST.indptr))
    offers = offered()
    for row, user in zip(offers.items, shown, strict=True):
        items = row[row >= 0]
        assert len(set(items.tolist())) == len(items)
        assert not TRAIN[user].toarray()[0][items].any()
        best = np.argsort(-np.where(TRAIN[user].toarray()[0] > 0, -np.inf, ITEMS @ VECTORS[user]))[:9]
        assert set(best.tolist()) <= set(items.tolist())


def test_a_component_that_takes_no_part_offers_nothing_and_scores_nothing() -> None:
    offers = offered(("factors", "popularity"))
    assert not offers.scores[1].any()
    assert offers.scale()[1] == 0
    assert (offers.scale()[[0, 2]] > 0).all()


def test_the_scale_is_the_mean_spread_of_what_is_offered() -> None:
    items = np.array([[0, 1, -1], [0, 1, 2]], dtype=np.int32)
    scores = np.zeros((4, 2, 3), dtype=np.float32)
    scores[0] = [[1, 3, 99], [0, 3, 6]]
    scale = Offers(items, scores, csr_matrix(np.eye(2, 3, dtype=np.float32))).scale()
    assert scale.tolist() == pytest.approx([(1 + np.std([0, 3, 6])) / 2, 0, 0, 0])


def test_the_search_comes_near_the_best_shares() -> None:
    target = np.array([0.6, 0.3, 0.08, 0.02])

    def value(shares: Float64) -> float:
        return -float(np.abs(shares - target).sum())

    found = best_shares(value, COMPONENTS, 300)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - target).max() < 0.02
    assert found.tolist() == best_shares(value, COMPONENTS, 300).tolist()


@pytest.mark.parametrize("trials", [3, 6, 20])
def test_no_more_is_tried_than_asked_for_but_for_where_the_search_starts(trials: int) -> None:
    tried: list[Float64] = []

    def value(shares: Float64) -> float:
        tried.append(shares)
        return float(shares[0] * shares[1])

    best_shares(value, COMPONENTS, trials)
    assert len(tried) == max(trials, len(COMPONENTS) + 1)


def test_where_nothing_helps_the_first_component_stays_alone() -> None:
    found = best_shares(lambda shares: 1.0, ("neighbours", "popularity"), 40)
    assert found.tolist() == [0, 1, 0, 0]


def test_only_the_components_that_take_part_have_a_share() -> None:
    found = best_shares(lambda shares: float(shares[2]), ("factors", "popularity"), 40)
    assert found.tolist() == [0, 0, 1, 0]
