"""The number of iterations is chosen on pairs held out of the training part."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tests.training.dense import signed_matrix
from training.als import fit_als
from training.config import AlsConfig
from training.early_stopping import best_iterations, held_out, with_chosen_iterations

CONFIG = AlsConfig(
    factors=8, regularization=0.05, frequency_exponent=1.0, init_scale=0.1, iterations=30, patience=2, seed=3
)


def test_held_out_pairs_are_a_share_of_each_users_positives_and_leave_the_rest() -> None:
    matrix = signed_matrix(density=0.3)
    train, test = held_out(matrix, 7)
    positives = np.bincount(matrix.nonzero()[0][matrix.data > 0], minlength=matrix.shape[0])
    expected = np.where(positives < 4, 0, np.maximum(1, positives // 10))
    np.testing.assert_array_equal(np.diff(test.indptr), expected)
    assert train.nnz + test.nnz == matrix.nnz
    assert (matrix.multiply(test) > 0).nnz == test.nnz
    assert train.multiply(test).nnz == 0


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_the_watch_ends_the_fit_and_the_fit_is_that_of_fewer_iterations(exponent: float) -> None:
    config = CONFIG.model_copy(update={"frequency_exponent": exponent})
    seen: list[int] = []

    def watch(iteration: int, users: np.ndarray, items: np.ndarray) -> bool:
        seen.append(iteration)
        assert users.shape == (120, 8)
        assert items.shape == (60, 8)
        return iteration == 3

    ended = fit_als(signed_matrix(), config, watch=watch)
    assert seen == [1, 2, 3]
    short = fit_als(signed_matrix(), config.model_copy(update={"iterations": 3}))
    np.testing.assert_array_equal(ended.items, short.items)


def test_the_fit_stops_once_patience_is_used_up() -> None:
    train, test = held_out(signed_matrix(density=0.3), 1)
    best = best_iterations(train, train, test, CONFIG)
    more = best_iterations(train, train, test, CONFIG.model_copy(update={"iterations": best + CONFIG.patience}))
    assert 1 <= best <= CONFIG.iterations
    assert best == more


def test_without_patience_or_without_enough_pairs_the_settings_stay() -> None:
    off = CONFIG.model_copy(update={"patience": 0})
    assert with_chosen_iterations(signed_matrix(), off) is off
    lonely = csr_matrix(np.eye(5, dtype=np.float32) * 11)
    assert with_chosen_iterations(lonely, CONFIG) is CONFIG


def test_the_chosen_number_replaces_the_iterations() -> None:
    matrix = signed_matrix(density=0.3)
    chosen = with_chosen_iterations(matrix, CONFIG)
    train, test = held_out(matrix, CONFIG.seed)
    assert chosen == CONFIG.model_copy(update={"iterations": best_iterations(train, train, test, CONFIG)})
