"""Folding in gives what the training objective gives, and explains it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundle.manifest import Objective
from recsvc.scoring.foldin import NOTHING, effective_regularization, fold_in, fold_in_vectors, strongest
from tests.builders import RECIPE
from training.als import turned


def _problem(seed: int, n_items: int = 30, n_factors: int = 6):
    rng = np.random.default_rng(seed)
    items = rng.standard_normal((n_items, n_factors)).astype(np.float32)
    rows = rng.choice(n_items, size=7, replace=False).astype(np.int32)
    confidence = (1 + rng.random(7) * 20).astype(np.float32) * rng.choice([1, 1, -1], size=7).astype(np.float32)
    return items, rows, confidence


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_the_vector_minimises_the_confidence_weighted_squared_error(seed: int) -> None:
    items, rows, confidence = _problem(seed)
    preference = np.zeros(len(items))
    weight = np.ones(len(items))
    preference[rows] = confidence > 0
    weight[rows] = np.abs(confidence)
    wide = items.astype(np.float64)
    direct = np.linalg.solve(
        wide.T @ (wide * weight[:, None]) + 0.5 * np.eye(items.shape[1]), wide.T @ (weight * preference)
    )
    folded = fold_in(wide.T @ wide, items, rows, confidence, 0.5)
    np.testing.assert_allclose(folded.vector, direct, rtol=1e-4, atol=1e-6)


def _along_axes(items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The items along their principal axes, and the diagonal of their Gram matrix."""
    along = turned(items)
    wide = along.astype(np.float64)
    return along, (wide.T @ wide).diagonal()


@given(seed=st.integers(0, 10_000), own=st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_along_principal_axes_a_short_history_takes_a_small_system_and_gives_the_same(seed: int, own: int) -> None:
    rng = np.random.default_rng(seed)
    along, diagonal = _along_axes(rng.standard_normal((80, 40)).astype(np.float32))
    rows = rng.choice(80, size=own, replace=False).astype(np.int32)
    confidence = (1 + rng.random(own) * 300).astype(np.float32) * rng.choice([1, 1, -1], size=own).astype(np.float32)
    short = fold_in(diagonal, along, rows, confidence, 0.5)
    dense = fold_in(np.diag(diagonal), along, rows, confidence, 0.5)
    np.testing.assert_allclose(short.vector, dense.vector, rtol=1e-5, atol=1e-6)
    for shown in (along[:3], along):
        np.testing.assert_allclose(short.terms(shown)[1], dense.terms(shown)[1], rtol=1e-6, atol=1e-8)


def test_along_principal_axes_a_singular_system_is_an_error_too() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="regularisation"):
        fold_in(np.zeros(2), np.zeros((4, 2), np.float32), np.array([1], np.int32), np.array([2.0], np.float32), 0.0)


def test_a_faded_pair_changes_nothing() -> None:
    items, rows, confidence = _problem(3)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    other = np.setdiff1d(np.arange(len(items)), rows)[:1].astype(np.int32)
    with_faded = fold_in(gram, items, np.append(rows, other), np.append(confidence, np.float32(-1.0)), 1.0)
    np.testing.assert_array_equal(with_faded.vector, fold_in(gram, items, rows, confidence, 1.0).vector)


def test_an_empty_history_gives_the_zero_vector() -> None:
    items, _, _ = _problem(1)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    empty = fold_in(gram, items, np.empty(0, np.int32), np.empty(0, np.float32), 1.0)
    assert not empty.vector.any()
    assert empty.explain(items[:2], 3).tolist() == [[NOTHING] * 3] * 2


def test_the_contributions_of_an_explanation_add_up_to_the_score() -> None:
    items, rows, confidence = _problem(5)
    confidence = np.abs(confidence)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    folded = fold_in(gram, items, rows, confidence, 1.0)
    system = gram + items[rows].astype(np.float64).T @ (items[rows] * (confidence - 1)[:, None]) + np.eye(6)
    candidate = 11
    terms = confidence * (items[rows].astype(np.float64) @ np.linalg.solve(system, items[candidate]))
    assert terms.sum() == pytest.approx(float(folded.vector @ items[candidate]), rel=1e-4)
    expected = [int(rows[j]) for j in np.argsort(-terms) if terms[j] > 0][:3]
    assert folded.explain(items[candidate : candidate + 1], 3).tolist() == [expected]


def test_without_regularisation_a_singular_system_is_an_error() -> None:
    items = np.zeros((4, 2), dtype=np.float32)
    with pytest.raises(np.linalg.LinAlgError, match="regularisation"):
        fold_in(np.zeros((2, 2)), items, np.array([1], np.int32), np.array([2.0], np.float32), 0.0)


def test_vectors_of_its_own_fold_in_as_the_rows_do() -> None:
    items, rows, confidence = _problem(7)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    folded = fold_in_vectors(gram, items[rows], rows, confidence, 1.0)
    np.testing.assert_array_equal(folded.vector, fold_in(gram, items, rows, confidence, 1.0).vector)


def test_an_item_that_the_model_does_not_know_pulls_the_user_towards_it() -> None:
    items, rows, confidence = _problem(8)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    unknown = np.float32([[0.5, -1, 2, 0, 1, -0.5]])
    before = fold_in(gram, items, rows, confidence, 1.0).vector
    with_it = fold_in_vectors(
        gram, np.concatenate([items[rows], unknown]), np.append(rows, 30), np.append(confidence, np.float32(9)), 1.0
    )
    assert with_it.vector @ unknown[0] > before @ unknown[0]
    assert 30 in with_it.explain(unknown, 1)[0]


@pytest.mark.parametrize(("exponent", "expected"), [(0.0, 0.5), (1.0, 0.5 * 110), (2.0, 0.5 * 110**2)])
def test_the_regularisation_grows_with_the_confidences_of_the_history(exponent: float, expected: float) -> None:
    objective = Objective(regularization=0.5, frequency_exponent=exponent, confidence=RECIPE)
    # 100 items, of which one is held with 8 more than an absent one, one disliked with 2 more, one faded.
    confidence = np.array([9.0, -3.0, -1.0], np.float32)
    assert effective_regularization(objective, 100, confidence) == pytest.approx(expected)


def test_the_strongest_terms_are_named_best_first_and_none_that_lowered_the_score() -> None:
    rows = np.int32([7, 5, 3])
    terms = np.float64([[2, -1, 0, 1], [2, -2, 0, 3], [5, -3, 0, -1]])
    assert strongest(rows, terms, 2).tolist() == [[3, 7], [NOTHING] * 2, [NOTHING] * 2, [5, 7]]
    assert strongest(rows[:1], terms[:1], 2).tolist() == [[7, NOTHING], [NOTHING] * 2, [NOTHING] * 2, [7, NOTHING]]


def test_many_and_few_own_items_are_explained_alike() -> None:
    items, rows, confidence = _problem(6)
    gram = items.astype(np.float64).T @ items.astype(np.float64)
    folded = fold_in(gram, items, rows, np.abs(confidence), 1.0)
    _, few = folded.terms(items[:2])
    _, many = folded.terms(np.concatenate([items, items])[: len(rows) + 9])
    np.testing.assert_allclose(many[:, :2], few, rtol=1e-6, atol=1e-9)
