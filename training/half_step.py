"""One half of an alternating least squares iteration: all rows of one side, with the other side held fixed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsvc.bundle.types import Float64, Int64
from training.lapack import solve_positive

_BLOCK_ELEMENTS: Final = 1 << 18
"""Numbers in the factors that a block of rows gathers: a megabyte as float32. Larger and smaller were slower."""
_LEAST_FILLED: Final = 0.9
"""Rows are padded to the longest of their block; none is shorter than this share of it."""
_LEAST_EXTRA: Final = 2.0**-23
"""|c| − 1 is at least this, the resolution of a float32 confidence, so that it can be divided by."""

Real = NDArray[Any]
"""float32 or float64."""


def solve_rows(confidence: csr_matrix, fixed: Real, gram: Float64, regularization: Float64) -> Real:
    """The exact minimiser of each row's objective, given the other side's factors.

    Row u solves A x = Yᵀ C p with A = YᵀY + Yᵀ(C − I)Y + λ_u I (Hu, Koren & Volinsky, ICDM 2008, equation 4).
    `confidence` float32 (n, m) signed, as `fit_als` takes it; `fixed` (m, f) = Y, float32 or float64, which is also
    the dtype computed in and returned, (n, f); `gram` float64 (f, f) = YᵀY; `regularization` float64 (n,) = λ_u > 0.
    A row without pairs is 0. Raises LinAlgError when a system is singular in that dtype or a solution not finite.

    With YᵀY = VΛVᵀ the dense part of A, turned by V, is the diagonal D = Λ + λ_u. So a row of n < f pairs needs a
    system of n equations only: with H the factors of its pairs, turned by V, and E = C − I > 0,
    x = D⁻¹HᵀE^½ (I + E^½HD⁻¹HᵀE^½)⁻¹ E^−½p, by the push-through form of Woodbury's identity (Henderson & Searle,
    SIAM Review 23(1), 1981). Others solve the f equations.
    """
    dtype = fixed.dtype
    penalties = regularization.astype(dtype)
    if not (penalties > 0).all():
        raise np.linalg.LinAlgError(f"a regularisation is not above 0 in {dtype}")
    values, vectors = np.linalg.eigh(gram)
    turn = vectors.astype(dtype)
    problem = _Problem(
        confidence,
        fixed @ turn,
        np.maximum(values, 0.0).astype(dtype),
        penalties,
        np.zeros((confidence.shape[0], fixed.shape[1]), dtype=dtype),
    )
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(problem.solve, problem.blocks()):
            pass  # iterating raises here what a thread raised
    solved: Real = problem.solved @ turn.T
    if not np.isfinite(solved).all():
        raise np.linalg.LinAlgError("a solution is not finite")
    return solved


@dataclass(frozen=True, slots=True)
class _Problem:
    """The half-step in the basis of the Gram matrix's eigenvectors; each row of `solved` is written once."""

    confidence: csr_matrix
    fixed: Real
    eigenvalues: Real
    regularization: Real
    solved: Real

    def blocks(self) -> Iterator[Int64]:
        """Rows that are solved together, long ones first; those without pairs are in none."""
        degrees = np.diff(self.confidence.indptr)
        order = np.argsort(-degrees, kind="stable")
        falling = -degrees[order]
        n_factors = self.fixed.shape[1]
        start, end = 0, int(np.searchsorted(falling, 0))
        while start < end:
            longest = -int(falling[start])
            shortest = longest * _LEAST_FILLED
            if longest >= n_factors:
                shortest = max(shortest, n_factors)
            alike = int(np.searchsorted(falling, -shortest, side="right"))
            together = max(1, _BLOCK_ELEMENTS // (n_factors * longest))
            stop = min(alike, start + together)
            yield order[start:stop]
            start = stop

    def solve(self, rows: Int64) -> None:
        """Solves one block. The rows of a block are all shorter than the factors, or none is."""
        starts, ends = self.confidence.indptr[rows], self.confidence.indptr[rows + 1]
        degrees = ends - starts
        within = np.arange(degrees[0])
        there = within < degrees[:, None]
        places = np.where(there, starts[:, None] + within, starts[:, None])
        signed = self.confidence.data[places].astype(self.fixed.dtype)
        roots = np.sqrt(np.maximum(np.abs(signed) - 1.0, _LEAST_EXTRA), dtype=self.fixed.dtype)
        targets = np.where(there, np.maximum(signed, 0.0) / roots, 0.0)
        scaled = self.fixed.take(self.confidence.indices[places], axis=0)
        scaled *= np.where(there, roots, 0.0)[:, :, None]
        diagonal = self.eigenvalues + self.regularization[rows, None]
        solve = _by_pairs if degrees[0] < self.fixed.shape[1] else _by_factors
        self.solved[rows] = solve(scaled, targets, diagonal)


def _by_pairs(scaled: Real, targets: Real, diagonal: Real) -> Real:
    """`scaled` (b, n, f) = E^½H, overwritten; `targets` (b, n) = E^−½p; `diagonal` (b, f) = D; x (b, f)."""
    root = np.sqrt(diagonal)
    scaled /= root[:, None, :]
    systems = scaled @ scaled.transpose(0, 2, 1)
    every = np.arange(systems.shape[1])
    systems[:, every, every] += 1.0
    solve_positive(systems, targets)
    turned: Real = (targets[:, None, :] @ scaled)[:, 0] / root
    return turned


def _by_factors(scaled: Real, targets: Real, diagonal: Real) -> Real:
    """The same of the f equations (D + HᵀEH) x = Hᵀp."""
    systems = scaled.transpose(0, 2, 1) @ scaled
    every = np.arange(systems.shape[1])
    systems[:, every, every] += diagonal
    turned: Real = (targets[:, None, :] @ scaled)[:, 0]
    solve_positive(systems, turned)
    return turned


def cores() -> int:
    """The cores this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
