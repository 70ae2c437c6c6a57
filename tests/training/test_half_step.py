"""A half-step is the exact minimiser of every row, however many pairs the row has."""

from __future__ import annotations

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from tests.training.dense import signed_matrix, solved_rows
from training.als import row_regularization
from training.half_step import solve_rows


def _items(matrix: csr_matrix, factors: int, dtype: type = np.float32) -> np.ndarray:
    drawn = np.random.default_rng(1).standard_normal((matrix.shape[1], factors)) / np.sqrt(factors)
    return drawn.astype(dtype)


def _solved(matrix: csr_matrix, items: np.ndarray, regularization: np.ndarray) -> np.ndarray:
    wide = items.astype(np.float64)
    return solve_rows(matrix, items, wide.T @ wide, regularization)


@pytest.mark.parametrize("factors", [3, 8, 40, 80])
@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 2e-4), (np.float64, 1e-10)])
def test_rows_shorter_and_longer_than_the_factors_solve_the_plain_equations(factors, dtype, close) -> None:
    matrix = signed_matrix(n_users=200, density=0.2)
    items = _items(matrix, factors, dtype)
    regularization = row_regularization(matrix, 0.02, 1.0)
    solved = _solved(matrix, items, regularization)
    assert solved.dtype == dtype
    np.testing.assert_allclose(solved, solved_rows(matrix, items, regularization), rtol=close, atol=close)


def test_rows_of_one_degree_equal_those_of_implicit_with_the_regularisation_of_that_degree() -> None:
    matrix = signed_matrix(n_users=300)
    matrix.data[:] = 11.0
    items = _items(matrix, 16)
    regularization = row_regularization(matrix, 0.02, 1.0)
    degrees = np.diff(matrix.indptr)
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(factors=16, alpha=1.0, num_threads=1)
        model.item_factors = items
        model.user_factors = np.zeros((matrix.shape[0], 16), dtype=np.float32)
        for degree in np.unique(degrees):
            rows = np.flatnonzero(degrees == degree)
            model.regularization = float(regularization[rows[0]])
            model.partial_fit_users(rows, matrix[rows])
    assert len(np.unique(degrees)) > 5
    np.testing.assert_allclose(_solved(matrix, items, regularization), model.user_factors, atol=1e-4)


def test_a_pair_faded_to_a_confidence_of_one_counts_as_an_absent_preference() -> None:
    matrix = signed_matrix()
    items = _items(matrix, 40)
    regularization = np.full(matrix.shape[0], 1.0)
    matrix.data[::20] = -1.0
    without = matrix.copy()
    without.data[::20] = 0.0
    without.eliminate_zeros()
    np.testing.assert_allclose(
        _solved(matrix, items, regularization), _solved(without, items, regularization), atol=1e-6
    )


def test_a_row_without_pairs_is_zero() -> None:
    matrix = signed_matrix().tolil()
    matrix[4] = 0
    matrix = matrix.tocsr()
    solved = _solved(matrix, _items(matrix, 8), np.full(matrix.shape[0], 0.5))
    assert not solved[4].any()
    assert solved[5].any()


def test_an_empty_matrix_gives_zeros() -> None:
    matrix = csr_matrix((3, 5), dtype=np.float32)
    assert not _solved(matrix, _items(matrix, 4), np.ones(3)).any()


def test_factors_that_are_not_finite_are_an_error() -> None:
    matrix = signed_matrix()
    items = _items(matrix, 4)
    with pytest.raises(np.linalg.LinAlgError):
        solve_rows(matrix, items, np.full((4, 4), np.nan), np.ones(matrix.shape[0]))
