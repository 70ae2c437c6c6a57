"""The inverse of a large positive definite matrix in its own memory.

LAPACK as SciPy brings it counts bytes in 32 bits and crashes on matrices above 4 GiB (32,768 rows in float32), and
`numpy.linalg` takes several copies. So the three steps of LAPACK's potrf and potri are done here by blocks, with
NumPy's products, which count in 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.linalg import solve_triangular

from recsvc.bundle.types import Float32

_BLOCK: Final = 2048
"""Rows and columns of a block: large enough for products at full speed, small beside the matrix."""


def invert_positive(matrix: Float32, block: int = _BLOCK) -> None:
    """Replaces the lower triangle by that of the inverse; what is above the diagonal is neither read nor meant.

    `matrix` float32 (n, n), C order, symmetric and positive definite by its lower triangle. Takes n³ multiplications
    and additions and, beside the matrix, room for `block` rows. Raises LinAlgError when it is not positive definite.
    """
    _factor(matrix, block)
    _invert_lower(matrix, block)
    _multiply(matrix, block)


def _factor(matrix: Float32, block: int) -> None:
    """A → L with A = LLᵀ, one block of columns after another, each from all to its left."""
    for here in _blocks(len(matrix), block):
        below = slice(here.start, len(matrix))
        matrix[below, here] -= matrix[below, : here.start] @ matrix[here, : here.start].T
        corner = np.linalg.cholesky(_whole(matrix[here, here]))
        matrix[here, here] = corner
        under = slice(here.stop, len(matrix))
        if under.start < under.stop:
            matrix[under, here] = solve_triangular(corner, matrix[under, here].T, lower=True, check_finite=False).T


def _invert_lower(matrix: Float32, block: int) -> None:
    """L → L⁻¹, from the last block of columns to the first: its rows below the diagonal are −L₂₂⁻¹ L₂₁ L₁₁⁻¹."""
    blocks = list(_blocks(len(matrix), block))
    for number in range(len(blocks) - 1, -1, -1):
        here = blocks[number]
        corner = np.tril(matrix[here, here])
        identity = np.eye(len(corner), dtype=np.float32)
        inverse = solve_triangular(corner, identity, lower=True, check_finite=False)
        # From the bottom up: a block of the result needs what is left of L above it.
        for rows in reversed(blocks[number + 1 :]):
            between = slice(here.stop, rows.start)
            found = matrix[rows, between] @ matrix[between, here]
            found += np.tril(matrix[rows, rows]) @ matrix[rows, here]
            matrix[rows, here] = -found @ inverse
        matrix[here, here] = inverse


def _multiply(matrix: Float32, block: int) -> None:
    """M → MᵀM of a lower triangle M, from the first block of rows to the last: each needs the rows from it on."""
    for here in _blocks(len(matrix), block):
        under = slice(here.stop, len(matrix))
        corner = np.tril(matrix[here, here])
        left = corner.T @ matrix[here, : here.start]
        left += matrix[under, here].T @ matrix[under, : here.start]
        own = corner.T @ corner
        own += matrix[under, here].T @ matrix[under, here]
        matrix[here, : here.start] = left
        matrix[here, here] = own


def _whole(lower: Float32) -> Float32:
    """A symmetric block of which the lower triangle is there."""
    triangle = np.tril(lower)
    return triangle + np.tril(triangle, -1).T


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
