"""A blend ranked offline: the lists that the service's scorer gives, for many users at once."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from recsvc.bundle.manifest import BlendSpec
from recsvc.scoring.blend import BlendScorer
from training.blend_ranker import BlendRanker
from training.fitted import neighbours_of
from training.index import build_index

N_USERS, N_ITEMS, K = 30, 50, 7
SPEC = BlendSpec(bounds=[3], weights={"factors": [0.5, 1.0], "neighbours": [1.0, 2.0], "popularity": [2.0, 0.0]})


def build(seed: int = 0) -> tuple[BlendRanker, BlendScorer, np.ndarray, csr_matrix]:
    rng = np.random.default_rng(seed)
    train = csr_matrix(
        np.where(rng.random((N_USERS, N_ITEMS)) < 0.1, rng.choice([-3.0, 2.0], (N_USERS, N_ITEMS)), 0), dtype=np.float32
    )
    users = rng.standard_normal((N_USERS, 4)).astype(np.float32)
    items = rng.standard_normal((N_ITEMS, 4)).astype(np.float32)
    weights = csr_matrix(random_sparse(N_ITEMS, N_ITEMS, 0.2, random_state=seed), dtype=np.float32)
    weights.sort_indices()
    popularity = rng.random(N_ITEMS).astype(np.float32) * 9
    scorer = BlendScorer(build_index(items), items, neighbours_of(weights), popularity, SPEC)
    return BlendRanker("blend", scorer, users, train), scorer, users, train


def test_lists_are_those_of_the_service_with_the_positive_history_and_the_seen_items_left_out() -> None:
    ranker, scorer, vectors, train = build()
    seen = csr_matrix(abs(train).sign())
    users = np.array([4, 0, 29, 4], dtype=np.int32)
    ranked = ranker.rank(users, seen, K)
    for row, user in zip(ranked, users, strict=True):
        history = np.flatnonzero(train[user].toarray()[0] > 0).astype(np.int32)
        allowed = seen[user].toarray()[0] == 0
        expected, _ = scorer.top(vectors[user], history, K, allowed)
        assert row.tolist() == expected.tolist()
        assert allowed[row].all()


def test_a_list_is_the_order_of_the_scores_of_given_items() -> None:
    ranker, _, _, train = build()
    users = np.arange(N_USERS, dtype=np.int32)
    scores = ranker.score(users, np.tile(np.arange(N_ITEMS, dtype=np.int32), (N_USERS, 1)))
    nothing_seen = csr_matrix(train.shape, dtype=np.float32)
    np.testing.assert_array_equal(
        ranker.rank(users, nothing_seen, K), np.argsort(-scores, axis=1, kind="stable")[:, :K]
    )


def test_lists_are_padded_where_little_is_left() -> None:
    ranker, _, _, train = build()
    seen = np.ones(train.shape, dtype=np.float32)
    seen[:, 3] = 0
    ranked = ranker.rank(np.array([2], dtype=np.int32), csr_matrix(seen), K)
    assert ranked.tolist() == [[3] + [-1] * (K - 1)]


def test_no_user_gives_no_list() -> None:
    ranker, _, _, train = build()
    assert ranker.rank(np.empty(0, dtype=np.int32), train, K).shape == (0, K)
