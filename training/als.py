"""Implicit-feedback alternating least squares (Hu, Koren & Volinsky, ICDM 2008), through `implicit`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from recsvc.bundle.types import Float32, Float64
from training.config import AlsConfig
from training.errors import DataInvalid

_BLOCK_USERS: Final = 32
"""Users whose equations are solved together: their systems stay in the cache; larger blocks were slower."""


@dataclass(frozen=True, slots=True)
class Factors:
    """A fitted factorisation.

    `users` float32 (n_users, n_factors), `items` float32 (n_items, n_factors), `gram` float64 (n_factors,
    n_factors) = YᵀY. Each user row is the exact minimiser of the objective given `items`.
    """

    users: Float32
    items: Float32
    gram: Float64


def fit_als(confidence: csr_matrix, config: AlsConfig, *, progress: str | None = None) -> Factors:
    """Fits user and item factors.

    `confidence` float32 users × items, signed total confidence (an absent pair has 1), so `implicit` runs with
    alpha = 1. `progress` names the bar shown; None shows none. The same matrix, settings and seed give the same
    factors. Raises DataInvalid when the fit does not stay finite.
    """
    # implicit runs its own threads; BLAS threads on top of them make it slower, not faster.
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=config.factors,
            regularization=config.regularization,
            alpha=1.0,
            iterations=config.iterations,
            random_state=config.seed,
            num_threads=cores(),
        )
        with tqdm(
            total=config.iterations,
            desc=progress,
            disable=True if progress is None else None,
            unit="iteration",
            leave=False,
        ) as bar:
            try:
                model.fit(confidence, show_progress=False, callback=lambda *_: bar.update())
            except ModelFitError as exc:
                raise DataInvalid(
                    f"the fit broke off ({exc}); raise als.regularization or lower als.factors in the settings"
                ) from exc
    items: Float32 = np.array(model.item_factors, dtype=np.float32)
    # CG leaves a residue that grows with the conditioning; an item nobody interacted with is exactly 0.
    items[np.bincount(confidence.indices, minlength=confidence.shape[1]) == 0] = 0.0
    return exact_users(confidence, items, config.regularization)


def exact_users(confidence: csr_matrix, items: Float32, regularization: float) -> Factors:
    """The exact user half-step in float64, so that serving can fold a stored user in and get its row.

    The same equations as `recsvc.scoring.foldin`, for blocks of users on all cores: `implicit` solves them too, in
    nearly twice the time. Raises DataInvalid when a system is singular.
    """
    wide = items.astype(np.float64)
    n_users = confidence.shape[0]
    users: Float32 = np.zeros((n_users, wide.shape[1]), dtype=np.float32)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores()) as pool:
        gram = wide.T @ wide
        base = gram + regularization * np.eye(len(gram))

        def solve(low: int) -> None:
            high = min(low + _BLOCK_USERS, n_users)
            users[low:high] = _solved(confidence, wide, base, low, high)

        try:
            for _ in pool.map(solve, range(0, n_users, _BLOCK_USERS)):
                pass  # iterating raises here what a thread raised
        except np.linalg.LinAlgError as exc:
            raise DataInvalid("the user equations are singular; raise als.regularization in the settings") from exc
    return Factors(users=users, items=items, gram=gram)


def _solved(confidence: csr_matrix, wide: Float64, base: Float64, low: int, high: int) -> Float64:
    """The vectors of users low…high-1: (YᵀY + λI + Yᵀ(C − I)Y) x = Yᵀ C p for each; float64 (high - low, n_factors)."""
    start, end = confidence.indptr[low], confidence.indptr[high]
    bounds = (confidence.indptr[low : high + 1] - start).tolist()
    signed = confidence.data[start:end].astype(np.float64)
    history = wide.take(confidence.indices[start:end], axis=0)
    positive = np.maximum(signed, 0.0)
    targets = np.empty((high - low, len(base), 1))
    systems = np.empty((high - low, *base.shape))
    for user, (first, last) in enumerate(pairwise(bounds)):
        np.dot(positive[first:last], history[first:last], out=targets[user, :, 0])
    # |c| ≥ 1, so the weighted product is AᵀA of the scaled rows, which BLAS computes as one triangle.
    history *= np.sqrt(np.abs(signed) - 1.0)[:, None]
    for user, (first, last) in enumerate(pairwise(bounds)):
        rows = history[first:last]
        np.dot(rows.T, rows, out=systems[user])
    systems += base
    solved: Float64 = np.asarray(np.linalg.solve(systems, targets)[:, :, 0], dtype=np.float64)
    return solved


def cores() -> int:
    """The cores this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
