"""The fit: deterministic, exact in its last half-step, explicit when it fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random as random_sparse

from recsvc.scoring.foldin import fold_in
from training.als import exact_users, fit_als
from training.config import AlsConfig

CONFIG = AlsConfig(factors=8, regularization=2.0, iterations=5, seed=3)


def _matrix(seed: int = 0, n_users: int = 120, n_items: int = 60):
    matrix = random_sparse(n_users, n_items, 0.1, format="csr", dtype=np.float32, random_state=seed)
    matrix.data = (1 + 20 * matrix.data) * np.where(np.arange(matrix.nnz) % 5, 1, -1).astype(np.float32)
    matrix.sort_indices()
    return matrix


def test_the_same_seed_gives_the_same_factors() -> None:
    first, second = fit_als(_matrix(), CONFIG), fit_als(_matrix(), CONFIG)
    np.testing.assert_array_equal(first.items, second.items)
    np.testing.assert_array_equal(first.users, second.users)


def test_folding_in_every_stored_user_gives_the_stored_row() -> None:
    matrix = _matrix()
    factors = fit_als(matrix, CONFIG)
    for user in range(matrix.shape[0]):
        row = matrix[user]
        folded = fold_in(factors.gram, factors.items, row.indices, row.data, CONFIG.regularization)
        np.testing.assert_allclose(folded.vector, factors.users[user], rtol=1e-4, atol=1e-7)
    assert np.abs(factors.users).max() > 0.01


def test_fitting_lowers_the_objective() -> None:
    matrix = _matrix()

    def loss(iterations: int) -> float:
        factors = fit_als(matrix, CONFIG.model_copy(update={"iterations": iterations}))
        scores = factors.users.astype(float) @ factors.items.T.astype(float)
        confidence, preference = np.ones(scores.shape), np.zeros(scores.shape)
        dense = matrix.toarray()
        confidence[dense != 0] = np.abs(dense[dense != 0])
        preference[dense > 0] = 1
        penalty = CONFIG.regularization * ((factors.users**2).sum() + (factors.items**2).sum())
        return float((confidence * (preference - scores) ** 2).sum() + penalty)

    assert loss(8) < loss(1)


def test_an_item_without_interactions_has_the_zero_vector() -> None:
    matrix = _matrix().tolil()
    matrix[:, 7] = 0
    factors = fit_als(matrix.tocsr(), CONFIG)
    assert not factors.items[7].any()


def test_a_user_without_interactions_has_the_zero_vector() -> None:
    matrix = _matrix().tolil()
    matrix[4] = 0
    assert not exact_users(matrix.tocsr(), np.ones((60, 3), np.float32), 1.0).users[4].any()


def test_dislikes_push_the_item_down() -> None:
    matrix = _matrix()
    liked = exact_users(abs(matrix), fit_als(matrix, CONFIG).items, 2.0)
    mixed = exact_users(matrix, liked.items, 2.0)
    users, items = (matrix < 0).nonzero()
    difference = np.einsum("ij,ij->i", mixed.users[users] - liked.users[users], liked.items[items])
    assert difference.mean() < 0
    assert pytest.approx(liked.gram) == mixed.gram
