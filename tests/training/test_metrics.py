from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Int32
from training import metrics

N_ITEMS = 30


def lists_and_truth(seed: int, n_users: int, k: int) -> tuple[Int32, csr_matrix]:
    rng = np.random.default_rng(seed)
    ranked = np.full((n_users, k), -1, dtype=np.int32)
    truth = np.zeros((n_users, N_ITEMS), dtype=np.float32)
    for user in range(n_users):
        length = rng.integers(0, k + 1)
        ranked[user, :length] = rng.permutation(N_ITEMS)[:length]
        truth[user, rng.permutation(N_ITEMS)[: rng.integers(1, N_ITEMS + 1)]] = 1
    return ranked, csr_matrix(truth)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(1, 12))
def test_accuracy_agrees_with_trec_eval(seed: int, n_users: int) -> None:
    ks = (1, 5, 20)
    ranked, test = lists_and_truth(seed, n_users, max(ks))
    truth = {str(u): {str(i): 1 for i in test[u].indices} for u in range(n_users)}
    run = {
        str(u): {str(item): float(100 - place) for place, item in enumerate(ranked[u]) if item >= 0}
        for u in range(n_users)
    }
    names = {"recall": "recall", "ndcg": "ndcg_cut", "map": "map_cut", "hr": "success"}
    theirs = pytrec_eval.RelevanceEvaluator(
        truth, {f"{name}.{','.join(map(str, ks))}" for name in names.values()}
    ).evaluate(run)

    ours = metrics.accuracy(ranked, test, ks)

    assert set(ours) == {f"{name}@{k}" for name in names for k in ks}
    for name, trec in names.items():
        for k in ks:
            # trec_eval leaves a user without any recommendation out: we count 0.
            expected = [theirs.get(str(u), {}).get(f"{trec}_{k}", 0.0) for u in range(n_users)]
            np.testing.assert_allclose(ours[f"{name}@{k}"], expected, atol=1e-6, err_msg=f"{name}@{k}")


def test_recall_divides_by_all_held_out_items_even_beyond_k() -> None:
    ranked = np.array([[0, 1]], dtype=np.int32)
    test = csr_matrix(np.array([[1, 1, 1, 1]], dtype=np.float32))
    assert metrics.accuracy(ranked, test, (2,))["recall@2"] == pytest.approx([0.5])


def test_a_list_of_minus_ones_hits_nothing_even_next_to_the_user_before() -> None:
    # -1 of user 1 would be the last item of user 0 if padding were taken for a row.
    ranked = np.array([[0, -1], [-1, -1]], dtype=np.int32)
    test = csr_matrix(np.array([[0, 0, 1], [1, 0, 0]], dtype=np.float32))
    assert not metrics.hits(ranked, test).any()


def test_a_user_without_held_out_items_is_an_error() -> None:
    with pytest.raises(ValueError, match="held-out"):
        metrics.accuracy(np.zeros((1, 1), dtype=np.int32), csr_matrix((1, 3), dtype=np.float32), (1,))


def test_lists_shorter_than_k_are_an_error() -> None:
    test = csr_matrix(np.ones((1, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="at 5"):
        metrics.accuracy(np.zeros((1, 1), dtype=np.int32), test, (5,))


class TestSampledCandidates:
    items = np.arange(12, dtype=np.int32)[None, :]

    def scored(self, positive: float, negatives: list[float]) -> tuple[float, float]:
        scores = np.array([[positive, *negatives]], dtype=np.float32)
        hit, ndcg = metrics.sampled(scores, self.items[:, : scores.shape[1]], 10)
        return float(hit[0]), float(ndcg[0])

    def test_rank_is_one_more_than_those_strictly_higher(self) -> None:
        assert self.scored(5, [9, 8, 1, 1]) == (1, pytest.approx(1 / np.log2(4)))

    def test_a_tie_costs_half_a_place(self) -> None:
        assert self.scored(5, [9, 5, 1, 1]) == (1, pytest.approx(1 / np.log2(3.5)))

    def test_below_the_cut_earns_nothing(self) -> None:
        assert self.scored(0, [1] * 10) == (0, 0)

    def test_a_constant_score_over_a_hundred_is_no_hit(self) -> None:
        items = np.arange(100, dtype=np.int32)[None, :]
        hit, ndcg = metrics.sampled(np.zeros((1, 100), dtype=np.float32), items, 10)
        assert (hit[0], ndcg[0]) == (0, 0)

    def test_a_negative_that_is_the_held_out_item_does_not_outrank_it(self) -> None:
        scores = np.array([[5, 5, 5]], dtype=np.float32)
        _, ndcg = metrics.sampled(scores, np.array([[7, 7, 7]], dtype=np.int32), 10)
        assert ndcg[0] == 1

    def test_nan_is_refused_instead_of_ranked_first(self) -> None:
        with pytest.raises(ValueError, match="NaN"):
            self.scored(float("nan"), [1, 2])


def test_coverage_counts_each_recommended_item_once() -> None:
    ranked = np.array([[0, 1], [1, -1]], dtype=np.int32)
    assert metrics.coverage(ranked, 8) == 2 / 8
    assert metrics.recommended_counts(ranked, 4).tolist() == [1, 2, 0, 0]


def test_novelty_is_the_mean_self_information_of_each_list() -> None:
    # Shares 1, 1/4 and (nobody: as one of 8 users) 1/8: 0, 2 and 3 bits.
    holders = np.array([8, 2, 0])
    ranked = np.array([[0, 1], [2, -1], [-1, -1]], dtype=np.int32)
    assert metrics.novelty(ranked, holders, 8) == pytest.approx(((0 + 2) / 2 + 3) / 2)


def test_diversity_agrees_with_cosines_computed_pair_by_pair() -> None:
    rng = np.random.default_rng(3)
    train = csr_matrix(np.where(rng.random((40, N_ITEMS)) < 0.2, rng.choice([-3.0, 2.0, 9.0], (40, N_ITEMS)), 0))
    train = train.astype(np.float32)
    ranked, _ = lists_and_truth(4, 200, 6)
    liked = (train.toarray() > 0).astype(float)
    norms = np.linalg.norm(liked, axis=0)
    unit = liked / np.where(norms > 0, norms, 1)
    expected = []
    for row in ranked:
        own = row[row >= 0]
        pairs = [1 - unit[:, a] @ unit[:, b] for a in own for b in own if a < b]
        if pairs:
            expected.append(np.mean(pairs))

    assert metrics.diversity(ranked, metrics.user_vectors(train)) == pytest.approx(np.mean(expected), abs=1e-5)


def test_diversity_is_zero_for_items_of_the_same_users_and_one_for_items_of_others() -> None:
    vectors = metrics.user_vectors(csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], np.float32)))
    assert metrics.diversity(np.array([[0, 1]], dtype=np.int32), vectors) == pytest.approx(0, abs=1e-6)
    assert metrics.diversity(np.array([[0, 2]], dtype=np.int32), vectors) == pytest.approx(1)
    assert metrics.diversity(np.array([[0, 3]], dtype=np.int32), vectors) == pytest.approx(1)


def test_lists_of_one_item_have_no_diversity_to_measure() -> None:
    vectors = metrics.user_vectors(csr_matrix(np.eye(3, dtype=np.float32)))
    assert metrics.diversity(np.array([[0, -1], [-1, -1]], dtype=np.int32), vectors) == 0


def test_dislikes_are_no_preference() -> None:
    train = csr_matrix(np.array([[2.5, -3.0], [-1.0, -2.0]], dtype=np.float32))
    before = train.copy()
    assert metrics.positives(train).toarray().tolist() == [[1, 0], [0, 0]]
    assert train.toarray().tolist() == before.toarray().tolist()
    assert train.nnz == before.nnz
