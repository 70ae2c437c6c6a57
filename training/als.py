"""Implicit-feedback alternating least squares (Hu, Koren & Volinsky, ICDM 2008), through `implicit`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from recsvc.bundle.types import Float32, Float64
from training.config import AlsConfig
from training.errors import DataInvalid


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
    """The exact user half-step in float64 (Cholesky), so that serving can fold a stored user in and get its row."""
    wide = items.astype(np.float64)
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=items.shape[1],
            regularization=regularization,
            alpha=1.0,
            dtype=np.float64,
            num_threads=cores(),
            random_state=0,
        )
        model.item_factors = wide
        users = model.recalculate_user(np.arange(confidence.shape[0]), confidence)
        gram = wide.T @ wide
    return Factors(users=users.astype(np.float32), items=items, gram=gram)


def cores() -> int:
    """The cores this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
