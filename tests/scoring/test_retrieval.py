"""Retrieval agrees with brute force and fills its list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundle.index import ItemIndex
from recsvc.scoring.retrieval import most_similar, nearest, top_items
from training.index import build_index
from training.indexes.families import FAMILIES


@given(seed=st.integers(0, 1000), k=st.integers(1, 80), n=st.integers(1, 70), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_top_items_are_the_best_allowed_ones_and_as_many_as_can_be(seed: int, k: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, 5)).astype(np.float32)
    vector = rng.standard_normal(5).astype(np.float32)
    allowed = rng.random(n) < share
    rows, scores = top_items(build_index(factors), vector, k, allowed)
    exact = factors @ vector
    assert len(rows) == min(k, int(allowed.sum()))
    assert allowed[rows].all()
    assert len(set(rows.tolist())) == len(rows)
    np.testing.assert_allclose(scores, np.sort(exact[allowed])[::-1][: len(rows)], rtol=1e-4, atol=1e-5)


N_ITEMS = 30_000
FACTORS = np.random.default_rng(7).standard_normal((N_ITEMS, 8)).astype(np.float32)


@pytest.fixture(scope="module", params=sorted(set(FAMILIES) - {"hnsw"}))
def index(request: pytest.FixtureRequest) -> ItemIndex:
    family = FAMILIES[request.param]
    searcher = family.build(FACTORS, np.random.default_rng(0))
    step = family.steps(N_ITEMS)[0]
    family.set(searcher, step)
    return ItemIndex(searcher, FACTORS, step.pool)


class TestApproximate:
    """Whatever the index, a list is full, in the order of exact scores, and holds nothing that may not come."""

    @pytest.mark.parametrize("share", [1.0, 0.9, 0.7, 0.3, 0.01])
    @pytest.mark.parametrize("k", [1, 100, 700])
    def test_lists_are_full_and_ordered_by_exact_scores(self, index: ItemIndex, share: float, k: int) -> None:
        rng = np.random.default_rng(k)
        vector = rng.standard_normal(8).astype(np.float32)
        allowed = rng.random(N_ITEMS) < share
        rows, scores = top_items(index, vector, k, allowed)
        assert len(rows) == len(set(rows.tolist())) == min(k, int(allowed.sum()))
        assert allowed[rows].all()
        np.testing.assert_allclose(scores, FACTORS[rows] @ vector, rtol=1e-4, atol=1e-5)
        assert (np.diff(scores) <= 0).all()

    def test_a_filter_that_leaves_out_what_the_index_would_offer_still_gives_the_best_of_the_rest(
        self, index: ItemIndex
    ) -> None:
        vector = np.random.default_rng(3).standard_normal(8).astype(np.float32)
        exact = FACTORS @ vector
        allowed = exact < np.partition(exact, -9_000)[-9_000]
        rows, _ = top_items(index, vector, 100, allowed)
        best = np.argsort(-np.where(allowed, exact, -np.inf), kind="stable")[:100]
        assert set(rows.tolist()) == set(best.tolist())


def test_the_most_similar_rows_are_by_cosine_and_leave_out_the_row_and_empty_rows() -> None:
    factors = np.array([[1, 0], [10, 1], [0, 1], [0, 0], [-1, 0]], dtype=np.float32)
    rows, cosines = most_similar(factors, 0, 10)
    assert rows.tolist() == [1, 2, 4]
    assert cosines[0] > 0.99
    assert most_similar(factors, 3, 10)[0].tolist() == []


def test_a_catalogue_of_one_item_has_nothing_similar() -> None:
    assert most_similar(np.ones((1, 3), dtype=np.float32), 0, 5)[0].tolist() == []


@given(seed=st.integers(0, 1000), k=st.integers(0, 50), n=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_the_nearest_rows_of_a_vector_are_the_best_allowed_ones(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, 5)).astype(np.float32)
    factors[rng.random(n) < 0.2] = 0
    vector = rng.standard_normal(5).astype(np.float32)
    allowed = rng.random(n) < 0.7
    rows, cosines = nearest(factors, vector, k, allowed)
    lengths = np.linalg.norm(factors, axis=1)
    useful = np.flatnonzero(allowed & (lengths > 0))
    exact = np.sort((factors[useful] @ vector) / (lengths[useful] * np.linalg.norm(vector)))[::-1]
    assert set(rows.tolist()) <= set(useful.tolist())
    np.testing.assert_allclose(cosines, exact[:k], rtol=1e-4, atol=1e-5)


def test_a_vector_without_length_has_nothing_near() -> None:
    rows, cosines = nearest(np.ones((3, 2), np.float32), np.zeros(2, np.float32), 3, np.ones(3, dtype=np.bool_))
    assert len(rows) == len(cosines) == 0
