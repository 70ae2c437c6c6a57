"""The inverse of a positive definite matrix in its own memory."""

from __future__ import annotations

import numpy as np
import pytest

from training.inverse import invert_positive


def positive(n: int) -> np.ndarray:
    rows = np.random.default_rng(n).standard_normal((n, n + 5)).astype(np.float32)
    return np.asarray(rows @ rows.T / n + np.eye(n), dtype=np.float32)


@pytest.mark.parametrize(("n", "block"), [(1, 4), (4, 4), (5, 4), (37, 8), (64, 16), (50, 100)])
def test_the_lower_triangle_becomes_that_of_the_inverse(n: int, block: int) -> None:
    matrix = positive(n)
    expected = np.linalg.inv(matrix.astype(np.float64))
    invert_positive(matrix, block)
    np.testing.assert_allclose(np.tril(matrix), np.tril(expected), atol=2e-5 * np.abs(expected).max())


def test_what_is_above_the_diagonal_is_not_read() -> None:
    matrix, spoilt = positive(30), positive(30)
    spoilt[np.triu_indices(30, 1)] = np.nan
    invert_positive(matrix, 8)
    invert_positive(spoilt, 8)
    np.testing.assert_array_equal(np.tril(matrix), np.tril(spoilt))


def test_what_is_not_positive_definite_is_refused() -> None:
    matrix = positive(20)
    matrix[13, 13] = -1.0
    with pytest.raises(np.linalg.LinAlgError):
        invert_positive(matrix, 8)
