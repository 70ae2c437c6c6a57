from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32, Int32
from training import rankers as rankers_module
from training.errors import TrainingError
from training.rankers import FactorRanker, ItemItemRanker, PopularityRanker, Ranker, best

N_USERS, N_ITEMS, K = 50, 37, 12


def random_train(seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    values = rng.choice([-2.0, 1.5, 3.0], (N_USERS, N_ITEMS))
    train = np.where(rng.random((N_USERS, N_ITEMS)) < 0.25, values, 0)
    train[0] = 0
    train[1] = 2.0
    train[2, : N_ITEMS - 3] = 2.0
    train[2, N_ITEMS - 3 :] = 0
    return csr_matrix(train.astype(np.float32))


def seen_of(train: csr_matrix) -> csr_matrix:
    seen = train.copy()
    seen.data[:] = 1
    return seen


def every_ranker(train: csr_matrix) -> list[Ranker]:
    rng = np.random.default_rng(1)
    # Small integers: many exact ties.
    users = rng.integers(-2, 3, (N_USERS, 3)).astype(np.float32)
    items = rng.integers(-2, 3, (N_ITEMS, 3)).astype(np.float32)
    popularity = rng.integers(0, 5, N_ITEMS).astype(np.float32)
    return [
        FactorRanker("als", users, items),
        PopularityRanker(popularity),
        ItemItemRanker(train, neighbours=8, threads=1),
        ItemItemRanker(train, neighbours=8, similarity="bm25", threads=1, name="bm25"),
    ]


@pytest.fixture(params=range(4), ids=["factors", "popularity", "cosine", "bm25"])
def ranker(request: pytest.FixtureRequest) -> Ranker:
    return every_ranker(random_train())[request.param]


def brute_force(scores: Float32, seen: csr_matrix, k: int, *, only_positive: bool) -> Int32:
    expected = np.full((len(scores), k), -1, dtype=np.int32)
    for user, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")
        allowed = [i for i in order if seen[user, i] == 0 and (row[i] > 0 or not only_positive)][:k]
        expected[user, : len(allowed)] = allowed
    return expected


def test_lists_are_the_unseen_items_by_score_then_row(ranker: Ranker) -> None:
    seen = seen_of(random_train())
    users = np.arange(N_USERS, dtype=np.int32)
    scores = ranker.score(users, np.tile(np.arange(N_ITEMS, dtype=np.int32), (N_USERS, 1)))
    expected = brute_force(scores, seen, K, only_positive=isinstance(ranker, ItemItemRanker))
    np.testing.assert_array_equal(ranker.rank(users, seen, K), expected)


def test_nothing_seen_is_recommended_and_short_lists_are_padded(ranker: Ranker) -> None:
    seen = seen_of(random_train())
    ranked = ranker.rank(np.array([1, 2], dtype=np.int32), seen, K)
    assert (ranked[0] == -1).all()
    assert set(ranked[1].tolist()) <= {-1, N_ITEMS - 3, N_ITEMS - 2, N_ITEMS - 1}


def test_users_may_come_in_any_order_and_more_than_once(ranker: Ranker) -> None:
    seen = seen_of(random_train())
    everybody = ranker.rank(np.arange(N_USERS, dtype=np.int32), seen, K)
    some = np.array([7, 3, 7, 49], dtype=np.int32)
    np.testing.assert_array_equal(ranker.rank(some, seen, K), everybody[some])


def test_blocks_do_not_show_in_the_result(ranker: Ranker, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = seen_of(random_train())
    users = np.arange(N_USERS, dtype=np.int32)
    items = np.random.default_rng(5).integers(0, N_ITEMS, (N_USERS, 6)).astype(np.int32)
    whole, scores = ranker.rank(users, seen, K), ranker.score(users, items)
    monkeypatch.setattr(rankers_module, "_SCORES_PER_BLOCK", 3 * N_ITEMS)
    np.testing.assert_array_equal(ranker.rank(users, seen, K), whole)
    np.testing.assert_allclose(ranker.score(users, items), scores, rtol=1e-6)


def test_more_places_than_items_are_padded(ranker: Ranker) -> None:
    ranked = ranker.rank(np.array([3], dtype=np.int32), csr_matrix((N_USERS, N_ITEMS), dtype=np.float32), 60)
    assert ranked.shape == (1, 60)
    assert (ranked[0, N_ITEMS:] == -1).all()
    found = ranked[ranked >= 0]
    assert len(set(found.tolist())) == len(found) > 0


def test_no_user_gives_no_list(ranker: Ranker) -> None:
    ranked = ranker.rank(np.empty(0, dtype=np.int32), seen_of(random_train()), K)
    assert ranked.shape == (0, K)


def test_item_item_sums_the_cosines_to_own_items_among_the_nearest_of_the_item() -> None:
    neighbours = 5
    liked = (random_train().toarray() > 0).astype(np.float64)
    unit = liked / np.maximum(np.linalg.norm(liked, axis=0), 1e-12)
    cosines = unit.T @ unit
    item = 6
    nearest = np.argsort(-cosines[item])[: neighbours + 1]
    # No tie at the cut, or which neighbour is kept would be anybody's choice.
    assert cosines[item, nearest[-2]] > cosines[item, nearest[-1]] + 1e-9
    expected = liked[:, nearest[:-1]] @ cosines[item, nearest[:-1]]

    ranker = ItemItemRanker(random_train(), neighbours=neighbours, threads=1)
    users = np.arange(N_USERS, dtype=np.int32)
    scores = ranker.score(users, np.full((N_USERS, 1), item, dtype=np.int32))
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_item_item_of_nothing_liked_recommends_nothing() -> None:
    train = csr_matrix(-np.eye(4, dtype=np.float32))
    ranked = ItemItemRanker(train, threads=1).rank(np.arange(4, dtype=np.int32), seen_of(train), 3)
    assert (ranked == -1).all()


def test_factors_that_are_not_finite_are_refused_by_name() -> None:
    factors = np.ones((3, 2), dtype=np.float32)
    with pytest.raises(TrainingError, match="als: the item factors"):
        FactorRanker("als", factors, np.full((3, 2), np.nan, dtype=np.float32))


def test_ties_at_the_last_place_go_to_the_lowest_columns() -> None:
    scores = np.array([[1, 1, 2, 1, 1], [-np.inf, 0, -np.inf, 0, 0]], dtype=np.float32)
    assert best(scores, 3).tolist() == [[2, 0, 1], [1, 3, 4]]


def test_what_is_minus_infinity_is_never_chosen() -> None:
    assert best(np.full((1, 4), -np.inf, dtype=np.float32), 2).tolist() == [[-1, -1]]
