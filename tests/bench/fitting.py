"""Scalar ALS against bare `implicit.fit`, a frequency-scaled iteration against irspack and grouped `implicit`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from tests.bench.measurement import Context, Measurement, of_samples, ratio_of_medians, seconds_of
from training.als import fit_als, row_regularization
from training.config import AlsConfig, load_config
from training.errors import DataMissing
from training.half_step import cores, solve_rows
from training.plan import Source
from training.split import make_split

_DATASETS: Final = ("movielens-1m-ncf", "gowalla")
_FACTORS: Final = (64, 128, 256)
_SCALAR_FACTORS: Final = 64
_GROUPED_FACTORS: Final = 64
"""`implicit` by degree takes tens of times as long: it is measured once, at this rank."""
_ROUNDS: Final = 3
_UNOBSERVED, _RENDLE = 0.1, 0.003
"""α₀ and Rendle's λ, the same on all sides."""


def measure(context: Context) -> list[Measurement]:
    """On MovieLens 1M and Gowalla, binary, ν = 1; both sides alternate in this process, on all cores."""
    return [line for name in _DATASETS for line in _of_dataset(name, context)]


def _of_dataset(name: str, context: Context) -> list[Measurement]:
    config = load_config(name, None)
    try:
        dataset = Source(name, context.data_dir).read(config, context.scratch / "state")
    except DataMissing as exc:
        return [Measurement(f"fit {name}", "×", missing=str(exc))]
    matrix = make_split(dataset, config.split, config.interactions.recipe()).train
    matrix.data[:] = 1 + 1 / _UNOBSERVED
    lines = _scalar(name, matrix, config.als)
    for factors in _FACTORS:
        lines += _iteration(name, matrix, factors)
    return lines


def _scalar(name: str, matrix: csr_matrix, settings: AlsConfig) -> list[Measurement]:
    """A whole fit with one λ, the exact last user half-step included, against `implicit.fit` alone."""
    config = settings.model_copy(update={"factors": _SCALAR_FACTORS, "frequency_exponent": 0.0})

    def bare() -> None:
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.regularization,
                alpha=1.0,
                iterations=config.iterations,
                random_state=config.seed,
                num_threads=cores(),
            )
            model.fit(matrix, show_progress=False)

    ours, theirs = _alternating(lambda: fit_als(matrix, config), bare)
    line = f"scalar fit of {name}, {config.factors} factors, {config.iterations} iterations"
    return [of_samples(line, "s", ours), _ratio(f"{line} / bare implicit.fit", ours, theirs, 1.1)]


def _iteration(name: str, matrix: csr_matrix, factors: int) -> list[Measurement]:
    """One iteration with ν = 1, both half-steps exact."""
    by_item = matrix.T.tocsr()
    lam = _RENDLE * (1 + _UNOBSERVED)
    of_users, of_items = row_regularization(matrix, lam, 1.0), row_regularization(by_item, lam, 1.0)
    start = np.random.default_rng(0).standard_normal((matrix.shape[1], factors)).astype(np.float32)
    start *= 0.1 / np.sqrt(factors)

    def ours() -> None:
        users = solve_rows(matrix, start, (start.T @ start).astype(np.float64), of_users)
        solve_rows(by_item, users, (users.T @ users).astype(np.float64), of_items)

    has_irspack = find_spec("irspack") is not None
    line = f"ν=1 iteration on {name}, {factors} factors"
    own, theirs = _alternating(ours, _irspack(matrix, factors)) if has_irspack else ([seconds_of(ours)], [])
    lines = [of_samples(line, "s", own)]
    if factors == _GROUPED_FACTORS:
        grouped = seconds_of(_grouped(matrix, by_item, of_users, of_items, start))
        lines.append(_ratio(f"{line} / implicit grouped by degree", [seconds_of(ours)], [grouped], None))
    target = 2.0
    if not has_irspack:
        missing = "irspack is not installed: pip install -r requirements-bench.lock"
        return [*lines, Measurement(f"{line} / irspack", "×", target=target, missing=missing)]
    return [*lines, _ratio(f"{line} / irspack", own, theirs, target)]


def _irspack(matrix: csr_matrix, factors: int) -> Callable[[], object]:
    recommenders: Any = importlib.import_module("irspack.recommenders.ials")
    ones = matrix.astype(np.float64)
    ones.data[:] = 1.0
    model = recommenders.IALSRecommender(
        ones, n_components=factors, alpha0=_UNOBSERVED, reg=_RENDLE, nu=1.0, solver_type="CHOLESKY", n_threads=cores()
    )
    epoch: Callable[[], object] = model._create_trainer().run_epoch
    return epoch


def _grouped(matrix: csr_matrix, by_item: csr_matrix, of_users: Any, of_items: Any, start: Any) -> Callable[[], object]:
    """The exact iteration through `implicit`'s public API: one call for the rows of each degree."""

    def iteration() -> None:
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(factors=start.shape[1], alpha=1.0, num_threads=cores())
            model.item_factors = start
            model.user_factors = np.zeros((matrix.shape[0], start.shape[1]), dtype=np.float32)
            for fit, rows, penalties in (
                (model.partial_fit_users, matrix, of_users),
                (model.partial_fit_items, by_item, of_items),
            ):
                degrees = np.diff(rows.indptr)
                for degree in np.unique(degrees):
                    alike = np.flatnonzero(degrees == degree)
                    model.regularization = float(penalties[alike[0]])
                    fit(alike, rows[alike])

    return iteration


def _alternating(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[list[float], list[float]]:
    samples: tuple[list[float], list[float]] = ([], [])
    for call in (ours, theirs):
        call()  # warms the libraries up
    for _ in range(_ROUNDS):
        samples[0].append(seconds_of(ours))
        samples[1].append(seconds_of(theirs))
    return samples


def _ratio(line: str, ours: list[float], theirs: list[float], target: float | None) -> Measurement:
    pairs = [own / other for own, other in zip(ours, theirs, strict=True)]
    note = f"{np.median(ours):.2f} s against {np.median(theirs):.2f} s"
    return Measurement(
        line,
        "×",
        ratio_of_medians(ours, theirs),
        target=target,
        samples=pairs,
        notes=[note],
        details={"ours_s": ours, "theirs_s": theirs},
    )
