"""Item × item weights: what the formulas say, whatever the order the memory is used in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float64
from training import neighbours as neighbours_module
from training.config import NeighboursConfig, load_config
from training.errors import DataInvalid
from training.neighbours import Similarity, counted_similarity, fit_linear, fit_neighbours

N_USERS, N_ITEMS = 70, 31
UNKNOWN = 4
"""An item that nobody has."""


def settings(**changes: object) -> NeighboursConfig:
    return load_config("none", None).neighbours.model_copy(update=changes)


def random_train(seed: int = 0) -> csr_matrix:
    rng = np.random.default_rng(seed)
    train = np.where(rng.random((N_USERS, N_ITEMS)) < 0.2, rng.choice([-2.0, 1.5, 9.0], (N_USERS, N_ITEMS)), 0)
    train[:, UNKNOWN] = np.where(np.arange(N_USERS) == 3, -2.0, 0)
    train[7] = 0
    return csr_matrix(train.astype(np.float32))


def liked(train: csr_matrix) -> Float64:
    return (train.toarray() > 0).astype(np.float64)


def direct(train: csr_matrix, config: NeighboursConfig) -> Float64:
    """The formula of `fit_linear` on dense matrices in float64, over the items that somebody has."""
    binary = liked(train)
    known = binary.any(axis=0)
    r = binary[:, known]
    d_user, d_item = np.maximum(r.sum(axis=1), 1), r.sum(axis=0)
    x = d_user[:, None] ** -config.user_exponent * r * d_item**-config.item_exponent
    gram = x.T @ x
    own = np.diag(gram)
    c = np.linalg.inv(gram + np.diag(own * config.dropout / (1 - config.dropout) + config.regularization * own.mean()))
    b = -c / np.diag(c)
    np.fill_diagonal(b, 0)
    weights = np.zeros((N_ITEMS, N_ITEMS))
    weights[np.ix_(known, known)] = (d_item**-config.item_exponent)[:, None] * b * d_item**config.item_exponent
    return weights


@pytest.mark.parametrize("blocks", [16_000_000, 40])
@pytest.mark.parametrize(
    "changes",
    [
        {"user_exponent": 0.0, "item_exponent": 0.0, "dropout": 0.0, "regularization": 0.5},
        {"user_exponent": 0.25, "item_exponent": 0.3, "dropout": 0.4, "regularization": 2.0},
    ],
)
def test_linear_weights_are_those_of_the_formula(
    changes: dict[str, float], blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours_module, "_VALUES_PER_BLOCK", blocks)
    train, config = random_train(), settings(keep=N_ITEMS, **changes)
    np.testing.assert_allclose(fit_linear(train, config).toarray(), direct(train, config), rtol=1e-3, atol=1e-5)


def test_without_exponents_and_dropout_it_is_the_best_linear_prediction_without_the_item_itself() -> None:
    """EASE: no other weights with a zero diagonal have a lower penalised squared error."""
    train = random_train()
    config = settings(keep=N_ITEMS, user_exponent=0.0, item_exponent=0.0, dropout=0.0, regularization=0.7)
    weights, r = fit_linear(train, config).toarray().astype(np.float64), liked(train)
    ridge = config.regularization * (r**2).sum() / (N_ITEMS - 1)  # the mean diagonal is over the items that are known

    def error(given: Float64) -> float:
        return float(((r - r @ given) ** 2).sum() + ridge * (given**2).sum())

    assert not weights.diagonal().any()
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.standard_normal(weights.shape) * 0.01
        np.fill_diagonal(step, 0)
        step[UNKNOWN] = step[:, UNKNOWN] = 0
        assert error(weights + step) > error(weights)
        assert error(weights - step) > error(weights)


def test_the_inverse_takes_no_memory_of_its_own() -> None:
    gram = np.asfortranarray(np.eye(6, dtype=np.float32) * 4)
    inverse = neighbours_module._inverted(gram)
    assert np.shares_memory(inverse, gram)
    np.testing.assert_allclose(inverse.diagonal(), 0.25)


@pytest.mark.parametrize("keep", [1, 5])
def test_the_largest_weights_of_each_scored_item_are_kept(keep: int) -> None:
    train, config = random_train(), settings(keep=keep)
    kept, whole = fit_linear(train, config).toarray(), direct(train, config)
    for scored in range(N_ITEMS):
        largest = np.sort(np.argsort(-np.abs(whole[:, scored]))[:keep])
        expected = [] if scored == UNKNOWN else largest.tolist()
        assert np.flatnonzero(kept[:, scored]).tolist() == expected


def test_cosines_are_kept_for_the_item_that_is_scored() -> None:
    train = random_train()
    r = liked(train)
    unit = r / np.maximum(np.linalg.norm(r, axis=0), 1e-12)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 0)
    kept = fit_neighbours(train, "cosine", settings(keep=4), threads=1).toarray()
    assert (np.count_nonzero(kept, axis=0) <= 4).all()
    assert (np.count_nonzero(kept, axis=1) > 4).any(), "an item may be a neighbour of many"
    for scored in range(N_ITEMS):
        found = np.flatnonzero(kept[:, scored])
        np.testing.assert_allclose(kept[found, scored], cosines[found, scored], rtol=1e-5)
        assert kept[:, scored].sum() == pytest.approx(np.sort(cosines[:, scored])[-4:].sum(), rel=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "bm25", "linear"])
def test_every_similarity_has_the_form_of_the_bundle(similarity: Similarity) -> None:
    weights = fit_neighbours(random_train(), similarity, settings(keep=6), threads=1)
    assert (weights.shape, weights.dtype, weights.has_sorted_indices) == ((N_ITEMS, N_ITEMS), np.float32, True)
    assert weights.nnz > 0
    assert np.isfinite(weights.data).all()
    assert not weights.diagonal().any()
    assert (np.bincount(weights.indices, minlength=N_ITEMS) <= 6).all()
    assert weights[UNKNOWN].nnz == weights[:, [UNKNOWN]].nnz == 0


@pytest.mark.parametrize("similarity", ["cosine", "bm25", "linear"])
def test_of_nothing_liked_there_is_no_weight(similarity: Similarity) -> None:
    nothing = csr_matrix(-np.eye(5, dtype=np.float32))
    assert fit_neighbours(nothing, similarity, settings(), threads=1).nnz == 0


def test_bm25_differs_from_cosine() -> None:
    cosine, bm25 = (counted_similarity(random_train(), kind, 5, threads=1) for kind in ("cosine", "bm25"))
    assert abs(cosine - bm25).max() > 0.01


def test_more_items_than_allowed_are_refused_with_the_remedy() -> None:
    with pytest.raises(DataInvalid, match=r"30 items.*maximum_items is 29.*neighbours\.similarity = \"cosine\""):
        fit_linear(random_train(), settings(maximum_items=29))


def test_more_memory_than_there_is_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours_module, "available_memory", lambda: 1000)
    with pytest.raises(DataInvalid, match=r"GB are left.*neighbours\.similarity = \"cosine\""):
        fit_linear(random_train(), settings())


def test_a_regularisation_beyond_float32_is_refused() -> None:
    with pytest.raises(DataInvalid, match=r"lower neighbours\.regularization"):
        fit_linear(random_train(), settings(regularization=1e300))


@pytest.mark.parametrize("similarity", ["cosine", "bm25", "linear"])
def test_to_keep_more_weights_than_there_are_items_keeps_all(similarity: Similarity) -> None:
    few, many = (
        fit_neighbours(random_train(), similarity, settings(keep=keep), threads=1) for keep in (N_ITEMS, 10**9)
    )
    np.testing.assert_array_equal(few.toarray(), many.toarray())
