"""A blended score is the weighted sum that its weights say, and its top is the top of that sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from recsvc.bundle.manifest import BlendSpec, Component
from recsvc.bundle.types import Float32, Int32, Neighbours, Spectrum
from recsvc.scoring import blend
from recsvc.scoring.blend import BlendScorer, bucket_of, popularity_scores
from recsvc.scoring.spectrum import item_terms
from training.index import build_index

N_ITEMS, N_FACTORS = 600, 8
SPEC = BlendSpec(
    bounds=[2, 5],
    weights={
        "factors": [0.0, 1.0, 1.0],
        "neighbours": [0.5, 0.25, 2.0],
        "popularity": [1.0, 0.5, 0.0],
        "spectrum": [0.0, 0.1, 0.5],
    },
)


@dataclass
class Case:
    scorer: BlendScorer
    factors: Float32
    matrix: csr_matrix
    popularity: Float32
    vector: Float32
    spectrum: Spectrum

    def smooth(self, history: Int32) -> np.ndarray:
        """S⁻¹VVᵀS in float64, the rows of the history."""
        vectors, scale = (array.astype(np.float64) for array in (self.spectrum.vectors, self.spectrum.scale))
        return np.asarray((vectors[history] / scale[history, None]) @ (vectors * scale[:, None]).T)

    def expected(self, history: Int32) -> np.ndarray:
        """The definition, in float64, of all items."""
        bucket = bucket_of(SPEC, len(history))
        known = history[history < N_ITEMS]
        parts: dict[Component, np.ndarray] = {
            "factors": self.factors.astype(np.float64) @ self.vector,
            "neighbours": np.asarray(self.matrix[known].astype(np.float64).sum(axis=0)).ravel(),
            "popularity": np.maximum(
                1 + np.log2(np.maximum(self.popularity, 1e-30) / float(self.popularity.max())) / 20, 0
            ),
            "spectrum": self.smooth(known).sum(axis=0) / np.sqrt(len(history)),
        }
        return np.asarray(sum(SPEC.weights[name][bucket] * values for name, values in parts.items()))


@pytest.fixture(params=["dense", "sparse"])
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(blend, "_DENSE_ITEMS", 10**6 if request.param == "dense" else 10)
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((N_ITEMS, N_FACTORS)).astype(np.float32)
    matrix = csr_matrix(random_array((N_ITEMS, N_ITEMS), density=0.03, rng=rng, dtype=np.float32))
    matrix.data -= np.float32(0.3)
    matrix.sort_indices()
    neighbours = Neighbours(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    popularity = (rng.pareto(1.0, N_ITEMS) * 5).astype(np.float32)
    vector = rng.standard_normal(N_FACTORS).astype(np.float32)
    spectrum = Spectrum(
        (rng.standard_normal((N_ITEMS, 3)) / 8).astype(np.float32), (1 + rng.random(N_ITEMS)).astype(np.float32)
    )
    scorer = BlendScorer(build_index(factors), factors, neighbours, popularity, SPEC, spectrum)
    return Case(scorer, factors, matrix, popularity, vector, spectrum)


HISTORIES = [np.array(rows, dtype=np.int32) for rows in ([7], [590, 4], [1, 2, 3], [9, 8, 7, 6, 5, 4, 3, 100, 333])]


@pytest.mark.parametrize("history", HISTORIES, ids=len)
def test_the_score_is_the_weighted_sum_of_its_components(case: Case, history: Int32) -> None:
    rows = np.array([5, 0, 599, 44], dtype=np.int32)
    np.testing.assert_allclose(
        case.scorer.score(case.vector, history, rows), case.expected(history)[rows], rtol=1e-4, atol=1e-5
    )
    parts = case.scorer.contributions(case.vector, history, rows)
    np.testing.assert_array_equal(parts.sum(axis=0), case.scorer.score(case.vector, history, rows))
    np.testing.assert_array_equal((parts != 0).any(axis=1) & (case.scorer.weights(len(history)) == 0), [False] * 4)


@pytest.mark.parametrize("history", HISTORIES, ids=len)
def test_the_top_is_that_of_the_whole_sum_among_what_may_come(case: Case, history: Int32) -> None:
    allowed = np.ones(N_ITEMS, dtype=np.bool_)
    allowed[history] = False
    allowed[::5] = False
    rows, scores = case.scorer.top(case.vector, history, 30, allowed)
    expected = np.where(allowed, case.expected(history), -np.inf)
    assert rows.tolist() == np.argsort(-expected, kind="stable")[:30].tolist()
    np.testing.assert_array_equal(scores, case.scorer.score(case.vector, history, rows))
    everything, _ = case.scorer.top(case.vector, history, 30, None)
    assert everything.tolist() == np.argsort(-case.expected(history), kind="stable")[:30].tolist()


def test_a_score_is_the_same_to_the_bit_whatever_it_is_computed_with(case: Case) -> None:
    history = HISTORIES[2]
    alone = [case.scorer.score(case.vector, history, np.array([row], dtype=np.int32))[0] for row in range(N_ITEMS)]
    together = case.scorer.score(case.vector, history, np.arange(N_ITEMS, dtype=np.int32))
    np.testing.assert_array_equal(together, alone)


def test_terms_of_the_history_add_up_to_what_neighbours_contribute(case: Case) -> None:
    history = HISTORIES[3]
    rows = np.array([17, 3, 598, 250, 90], dtype=np.int32)
    user = case.scorer.of(case.vector, history)
    terms = user.neighbour_terms(rows)
    np.testing.assert_allclose(terms, 2.0 * case.matrix[history][:, rows].toarray(), rtol=1e-6)
    np.testing.assert_allclose(terms.sum(axis=0), user.contributions(rows)[blend.NEIGHBOURS], rtol=1e-5, atol=1e-6)


def test_terms_of_the_history_add_up_to_what_the_spectrum_contributes(case: Case) -> None:
    history = np.array([9, 8, N_ITEMS + 1, 6, 5, 4], dtype=np.int32)
    rows = np.array([17, N_ITEMS, 598, 250], dtype=np.int32)
    terms = item_terms(case.spectrum, history, rows)
    trained = np.array([17, 598, 250], dtype=np.int32)
    contributed = case.scorer.contributions(case.vector, history, trained)[blend.SPECTRUM]
    np.testing.assert_allclose(0.5 * terms.sum(axis=0)[[0, 2, 3]], contributed, rtol=1e-4, atol=1e-6)
    assert not terms[2].any(), "an item behind the model's says nothing"
    assert not terms[:, 1].any(), "and nothing is said of one"


def test_the_reasons_are_what_raised_the_whole_sum_most(case: Case) -> None:
    history = HISTORIES[3]
    rows = np.array([17, 3, 598], dtype=np.int32)
    terms = 2.0 * case.matrix[history][:, rows].toarray() + 0.5 * case.smooth(history)[:, rows] / np.sqrt(len(history))
    found = case.scorer.of(case.vector, history).explain(rows, case.factors[rows], None, per_item=2)
    assert [row[row >= 0].tolist() for row in found] == [
        [int(history[j]) for j in np.argsort(-terms[:, column])[:2] if terms[j, column] > 0] for column in range(3)
    ]


def test_the_spectrum_offers_where_it_is_alone(case: Case) -> None:
    weights = {"factors": [0.0], "neighbours": [0.0], "popularity": [0.0], "spectrum": [2.0]}
    spec = BlendSpec.model_validate({"bounds": [], "weights": weights})
    scorer = BlendScorer(case.scorer.index, case.factors, None, case.popularity, spec, case.spectrum)
    history = HISTORIES[2]
    allowed = np.arange(N_ITEMS) % 3 > 0
    rows, _ = scorer.top(case.vector, history, 30, allowed)
    expected = np.where(allowed, case.smooth(history).sum(axis=0), -np.inf)
    assert rows.tolist() == np.argsort(-expected, kind="stable")[:30].tolist()


def test_an_item_behind_the_models_counts_for_the_bucket_and_has_no_neighbours(case: Case) -> None:
    rows = np.arange(N_ITEMS, dtype=np.int32)
    longer = np.array([1, 2, 3, N_ITEMS, N_ITEMS + 9, N_ITEMS + 1], dtype=np.int32)
    np.testing.assert_allclose(
        case.scorer.score(case.vector, longer, rows), case.expected(longer), rtol=1e-4, atol=1e-5
    )
    assert not case.scorer.of(case.vector, longer).neighbour_terms(rows)[3:].any()


def test_equal_scores_come_in_the_order_of_their_rows() -> None:
    spec = BlendSpec(bounds=[], weights={"factors": [0.0], "neighbours": [0.0], "popularity": [1.0]})
    factors = np.zeros((9, 2), dtype=np.float32)
    popularity = np.array([1, 3, 1, 3, 0, 0, 3, 1, 0], dtype=np.float32)
    scorer = BlendScorer(build_index(factors), factors, None, popularity, spec)
    rows, _ = scorer.top(factors[0], np.empty(0, dtype=np.int32), 9, None)
    assert rows.tolist() == [1, 3, 6, 0, 2, 7, 4, 5, 8]


def test_neighbours_offer_nothing_that_nobody_speaks_for() -> None:
    spec = BlendSpec(bounds=[], weights={"factors": [0.0], "neighbours": [1.0], "popularity": [0.0]})
    factors = np.zeros((4, 2), dtype=np.float32)
    matrix = csr_matrix(np.array([[0, 2, -1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    neighbours = Neighbours(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    scorer = BlendScorer(build_index(factors), factors, neighbours, np.ones(4, dtype=np.float32), spec)
    assert scorer.top(factors[0], np.array([0], dtype=np.int32), 4, None)[0].tolist() == [1]
    assert scorer.top(factors[0], np.array([1], dtype=np.int32), 4, None)[0].tolist() == []


def test_a_weight_without_neighbours_is_refused(case: Case) -> None:
    with pytest.raises(ValueError, match="gives neighbours a weight"):
        BlendScorer(case.scorer.index, case.factors, None, case.popularity, SPEC, case.spectrum)
    with pytest.raises(ValueError, match="gives spectrum a weight"):
        BlendScorer(case.scorer.index, case.factors, case.scorer.neighbours, case.popularity, SPEC)


@pytest.mark.parametrize(("n", "bucket"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (1_000, 2)])
def test_a_bucket_holds_histories_up_to_its_bound(n: int, bucket: int) -> None:
    assert bucket_of(SPEC, n) == bucket


def test_popularity_loses_a_twentieth_with_each_halving() -> None:
    found = popularity_scores(np.array([0, 8, 4, 8e-9], dtype=np.float32))
    np.testing.assert_allclose(found, [0.0, 1.0, 0.95, 0.0], rtol=1e-6)
    assert popularity_scores(np.zeros(2, dtype=np.float32)).tolist() == [0.0, 0.0]
