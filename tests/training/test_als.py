"""The fit: deterministic, exact in its last half-step, explicit when it fails."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.manifest import Objective
from recsvc.scoring.foldin import effective_regularization, fold_in
from tests.builders import RECIPE
from tests.training.dense import objective, signed_matrix
from training.als import exact_users, fit_als
from training.config import AlsConfig
from training.errors import DataInvalid

CONFIG = AlsConfig(
    factors=8, regularization=2.0, frequency_exponent=0.0, init_scale=0.1, iterations=5, patience=0, seed=3
)
SCALED = CONFIG.model_copy(update={"regularization": 0.02, "frequency_exponent": 1.0})
BOTH = pytest.mark.parametrize("config", [CONFIG, SCALED], ids=["scalar", "scaled"])


@BOTH
def test_the_same_seed_gives_the_same_factors_and_another_seed_others(config: AlsConfig) -> None:
    first, second = fit_als(signed_matrix(), config), fit_als(signed_matrix(), config)
    np.testing.assert_array_equal(first.items, second.items)
    np.testing.assert_array_equal(first.users, second.users)
    other = fit_als(signed_matrix(), config.model_copy(update={"seed": 4}))
    assert not np.array_equal(first.items, other.items)


@BOTH
def test_folding_in_every_stored_user_gives_the_stored_row(config: AlsConfig) -> None:
    matrix = signed_matrix()
    factors = fit_als(matrix, config)
    objective = Objective(
        regularization=config.regularization, frequency_exponent=config.frequency_exponent, confidence=RECIPE
    )
    for user in range(matrix.shape[0]):
        row = matrix[user]
        regularization = effective_regularization(objective, matrix.shape[1], row.data)
        folded = fold_in(factors.gram, factors.items, row.indices, row.data, regularization)
        np.testing.assert_allclose(folded.vector, factors.users[user], rtol=1e-4, atol=1e-7)
    assert np.abs(factors.users).max() > 0.01


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_no_half_step_raises_the_objective(exponent: float) -> None:
    matrix = signed_matrix()
    items = np.random.default_rng(5).standard_normal((matrix.shape[1], 8)).astype(np.float32)
    by_item = matrix.T.tocsr()
    users = exact_users(matrix, items, 0.02, exponent).users
    losses = [objective(matrix, users, items, 0.02, exponent)]
    for _ in range(4):
        items = exact_users(by_item, users, 0.02, exponent).users
        losses.append(objective(matrix, users, items, 0.02, exponent))
        users = exact_users(matrix, items, 0.02, exponent).users
        losses.append(objective(matrix, users, items, 0.02, exponent))
    assert (np.diff(losses) <= 1e-6 * np.array(losses[1:])).all()
    assert losses[-1] < 0.9 * losses[0]


@BOTH
def test_more_iterations_lower_the_objective(config: AlsConfig) -> None:
    matrix = signed_matrix()

    def loss(iterations: int) -> float:
        factors = fit_als(matrix, config.model_copy(update={"iterations": iterations}))
        return objective(matrix, factors.users, factors.items, config.regularization, config.frequency_exponent)

    assert loss(8) < loss(1)


def test_the_conversion_gives_the_solution_of_rendles_objective() -> None:
    """His, on binary data: Σ over pairs (1 − x·y)² + α₀ Σ over all pairs (x·y)² + λ_R Σ (n_u + α₀ N)^ν |x_u|²."""
    alpha, lam, nu = 0.3, 0.007, 0.7
    pairs = (abs(signed_matrix()) > 0).astype(np.float64)
    confidence = (pairs * (1 + 1 / alpha)).astype(np.float32).tocsr()
    items = np.random.default_rng(2).standard_normal((pairs.shape[1], 8)).astype(np.float32)
    # His optimum wants x·y = 1/(1 + α₀) on a pair, ours 1: his factors, both sides, are ours over √(1 + α₀).
    ours = exact_users(confidence, items, lam * (1 + alpha) * alpha ** (nu - 1), nu).users / np.sqrt(1 + alpha)
    wide = items.astype(np.float64) / np.sqrt(1 + alpha)
    for user, row in enumerate(pairs.toarray()):
        penalty = lam * (row.sum() + alpha * len(row)) ** nu * np.eye(8)
        his = np.linalg.solve((wide.T * row) @ wide + alpha * wide.T @ wide + penalty, wide.T @ row)
        np.testing.assert_allclose(his, ours[user], rtol=1e-4, atol=1e-7)


def test_a_scalar_fit_that_does_not_stay_finite_is_refused() -> None:
    matrix = signed_matrix()
    matrix.data[3] = np.inf
    with pytest.raises(DataInvalid, match=r"als\.regularization"):
        fit_als(matrix, CONFIG)


def test_a_scaled_fit_whose_regularisation_vanishes_is_refused() -> None:
    with pytest.raises(DataInvalid, match=r"als\.regularization"):
        fit_als(signed_matrix(), SCALED.model_copy(update={"regularization": 1e-60}))


def test_an_item_without_interactions_has_the_zero_vector() -> None:
    matrix = signed_matrix().tolil()
    matrix[:, 7] = 0
    factors = fit_als(matrix.tocsr(), CONFIG)
    assert not factors.items[7].any()


def test_a_user_without_interactions_has_the_zero_vector() -> None:
    matrix = signed_matrix().tolil()
    matrix[4] = 0
    assert not exact_users(matrix.tocsr(), np.ones((60, 3), np.float32), 1.0).users[4].any()


def test_dislikes_push_the_item_down() -> None:
    matrix = signed_matrix()
    liked = exact_users(abs(matrix), fit_als(matrix, CONFIG).items, 2.0)
    mixed = exact_users(matrix, liked.items, 2.0)
    users, items = (matrix < 0).nonzero()
    difference = np.einsum("ij,ij->i", mixed.users[users] - liked.users[users], liked.items[items])
    assert difference.mean() < 0
    assert pytest.approx(liked.gram) == mixed.gram
