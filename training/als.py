"""Implicit-feedback alternating least squares (Hu, Koren & Volinsky, ICDM 2008), its penalty scaled by frequency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from recsvc.bundle.types import Float32, Float64
from recsvc.scoring.foldin import scaled_regularization
from training.config import AlsConfig
from training.errors import DataInvalid
from training.half_step import Real, cores, solve_rows
from training.size import sized

_ROUNDING: Final = 1e-6
"""What turned float32 factors leave beside the diagonal of YᵀY is some tenth of this share of √(gₐₐ·g_bb)."""
Watch: TypeAlias = Callable[[int, Float32, Float32], bool]
"""Called after each iteration with its number (from 1), the user and the item factors of the moment; they are
overwritten later. True ends the fit."""


@dataclass(frozen=True, slots=True)
class Factors:
    """A fitted factorisation.

    `users` float32 (n_users, n_factors), `items` float32 (n_items, n_factors), `gram` float64 = YᵀY, (n_factors,
    n_factors) or, of factors along their principal axes, its diagonal (n_factors,). Each user row is the exact
    minimiser of the objective given `items`.
    """

    users: Float32
    items: Float32
    gram: Float64


class _Ended(Exception):  # noqa: N818 - no error: the only way out of `implicit`'s loop
    """The watch has seen enough."""


def fit_als(
    confidence: csr_matrix, config: AlsConfig, *, progress: str | None = None, watch: Watch | None = None
) -> Factors:
    """Fits user and item factors.

    `confidence` float32 users × items, signed total confidence (an absent pair has 1). The penalty of user u is
    λ s_u^ν |x_u|², s_u the sum of their confidences over all items, and of items likewise: frequency-scaled
    regularisation as in Rendle, Krichene, Zhang & Koren, "Revisiting the performance of iALS on item recommendation
    benchmarks", RecSys 2022. With ν = 0 the fit is `implicit`'s, else every half-step is exact (record 0012).
    With `factors` 0 their number goes by the size of the matrix (`training.size`).
    `progress` names the bar shown; None shows none. The same matrix, settings and seed give the same factors. Raises
    DataInvalid when the fit does not stay finite.
    """
    config = sized(config, confidence)
    with tqdm(
        total=config.iterations,
        desc=progress,
        disable=True if progress is None else None,
        unit="iteration",
        leave=False,
    ) as bar:

        def ends(iteration: int, users: Float32, items: Float32) -> bool:
            bar.update()
            return watch is not None and watch(iteration, users, items)

        fit = _scaled if config.frequency_exponent else _scalar
        items = fit(confidence, config, ends)
    # CG leaves a residue that grows with the conditioning; an item nobody interacted with is exactly 0.
    items[np.bincount(confidence.indices, minlength=confidence.shape[1]) == 0] = 0.0
    return exact_users(confidence, turned(items), config.regularization, config.frequency_exponent)


def turned(items: Float32) -> Float32:
    """The factors along their principal axes, the one that carries most first; float32, as `items`.

    No score changes, since users are solved for in the same axes. YᵀY becomes diagonal, which makes folding in cheap
    (`recsvc.scoring.foldin`), and runs that differ by a rotation alone become the same but for signs.
    """
    wide = items.astype(np.float64)
    _, axes = np.linalg.eigh(_gram(wide))
    return np.ascontiguousarray((wide @ axes[:, ::-1]).astype(np.float32))


def _scalar(confidence: csr_matrix, config: AlsConfig, ends: Watch) -> Float32:
    """One λ for all rows, by `implicit` with alpha = 1; the item factors."""
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

        def done(iteration: int, *_: object) -> None:
            if ends(iteration + 1, model.user_factors, model.item_factors):
                raise _Ended

        try:
            model.fit(confidence, show_progress=False, callback=done)
        except _Ended:
            pass
        except ModelFitError as exc:
            raise _broken_off(exc) from exc
    items = np.array(model.item_factors, dtype=np.float32)
    if not np.isfinite(items).all():
        raise _broken_off("the factors are not finite")
    return items


def _scaled(confidence: csr_matrix, config: AlsConfig, ends: Watch) -> Float32:
    """A λ for each row, by exact half-steps in float32; the item factors."""
    by_item = confidence.T.tocsr()
    of_users = row_regularization(confidence, config.regularization, config.frequency_exponent)
    of_items = row_regularization(by_item, config.regularization, config.frequency_exponent)
    rng = np.random.default_rng(config.seed)
    items: Float32 = rng.standard_normal((confidence.shape[1], config.factors), dtype=np.float32)
    items *= config.init_scale / np.sqrt(config.factors)
    for iteration in range(1, config.iterations + 1):
        try:
            users = solve_rows(confidence, items, _gram(items), of_users)
            items = solve_rows(by_item, users, _gram(users), of_items)
        except np.linalg.LinAlgError as exc:
            raise _broken_off(exc) from exc
        if ends(iteration, users, items):
            break
    return items


def exact_users(
    confidence: csr_matrix, items: Float32, regularization: float, frequency_exponent: float = 0.0
) -> Factors:
    """The exact user half-step in float64, so that serving can fold a stored user in and get its row.

    The same equations as `recsvc.scoring.foldin`. Raises DataInvalid when a system is singular.
    """
    wide = items.astype(np.float64)
    gram = _gram(wide)
    try:
        users = solve_rows(confidence, wide, gram, row_regularization(confidence, regularization, frequency_exponent))
    except np.linalg.LinAlgError as exc:
        raise DataInvalid("the user equations are singular; raise als.regularization in the settings") from exc
    return Factors(users=users.astype(np.float32), items=items, gram=_along_axes(gram))


def row_regularization(confidence: csr_matrix, regularization: float, frequency_exponent: float) -> Float64:
    """λ of each row of a signed confidence matrix; float64 (n_rows,)."""
    n_rows, n_columns = confidence.shape
    rows = np.repeat(np.arange(n_rows), np.diff(confidence.indptr))
    total = np.full(n_rows, float(n_columns))
    total += np.bincount(rows, weights=np.abs(confidence.data.astype(np.float64)) - 1.0, minlength=n_rows)
    return scaled_regularization(regularization, frequency_exponent, total)


def _gram(factors: Real) -> Float64:
    """XᵀX, float64 (n_factors, n_factors), summed in the dtype of `factors`."""
    gram: Float64 = (factors.T @ factors).astype(np.float64, copy=False)
    return gram


def _along_axes(gram: Float64) -> Float64:
    """The diagonal of a Gram matrix that has nothing but rounding beside it; else the matrix itself."""
    diagonal = np.maximum(gram.diagonal(), 0.0)
    lengths = np.sqrt(diagonal)
    beside = np.abs(gram)
    np.fill_diagonal(beside, 0.0)
    return diagonal if (beside <= _ROUNDING * np.outer(lengths, lengths)).all() else gram


def _broken_off(why: object) -> DataInvalid:
    return DataInvalid(f"the fit broke off ({why}); raise als.regularization or lower als.factors in the settings")
