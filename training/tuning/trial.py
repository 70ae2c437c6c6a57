"""One trial: a fit with given settings, measured on the validation part after each epoch, and its cost in serving."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import faiss
import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsvc.bundle.types import Float32, Int32
from recsvc.scoring.foldin import effective_regularization, fold_in
from recsvc.scoring.retrieval import top_items
from training import metrics
from training.als import Factors, exact_users, fit_als
from training.config import RunConfig
from training.index import build_index
from training.rankers import FactorRanker
from training.sources.dataset import Dataset
from training.split import Split
from training.validation import validation_split

MOST_EPOCHS: Final = 20
_PATIENCE: Final = 3
"""Epochs without a better value after which a trial ends."""
_MOST_USERS: Final = 5_000
_SERVED_USERS: Final = 50
_LIST_LENGTH: Final = 100
"""The candidates that the service computes at a miss."""
_KS: Final = (10, 20)

Report = Callable[[int, float], None]
"""Told the epoch (from 1) and its value; may raise to end the trial."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished trial: `metrics` means over validation users at epoch `epochs`, the best one; `miss_ms` the median
    milliseconds of a fold-in and an exact search, one thread; `factor_bytes` of user and item factors."""

    metrics: dict[str, float]
    epochs: int
    miss_ms: float
    factor_bytes: int


class Validation:
    """Measures settings on the validation part of a training part (`training.validation.training_part`).

    Up to 5,000 users with a validation item are measured, the same for all settings, drawn by `als.seed`.
    """

    def __init__(self, part: Dataset, base: RunConfig) -> None:
        self._part = part
        self._seed = base.als.seed
        self._metric = base.gate.metric

    def split(self, config: RunConfig) -> Split:
        """The training matrix that the settings give, and the validation pairs."""
        return validation_split(self._part, config, seed=self._seed)

    def users(self, split: Split) -> Int32:
        """Who is measured: user rows, ascending; int32 (at most 5,000,)."""
        users = np.flatnonzero(np.diff(split.test.indptr)).astype(np.int32)
        return np.sort(np.random.default_rng(self._seed).permutation(users)[:_MOST_USERS])

    def measure(self, split: Split, config: RunConfig, report: Report, *, early_stop: bool) -> Measured:
        """Fits on the split and measures each epoch.

        With `early_stop` the fit ends once the value has not risen for three epochs, at the latest after 20 (or
        `als.iterations` if that is more), and the best epoch counts; without it it has `als.iterations`, and the last
        one counts. Raises DataInvalid when the fit does not stay finite, and whatever `report` raises.
        """
        users = self.users(split)
        rows = np.arange(len(users), dtype=np.int32)
        train, seen, wanted = (csr_matrix(matrix[users]) for matrix in (split.train, split.seen, split.test))
        als = config.als
        epochs: list[dict[str, float]] = []

        def watch(epoch: int, _: Float32, items: Float32) -> bool:
            # The users' vectors of an epoch belong to the items before it; what is served belongs to these.
            solved = exact_users(train, items, als.regularization, als.frequency_exponent)
            ranked = FactorRanker("trial", solved.users, items).rank(rows, seen, max(_KS))
            found = metrics.accuracy(ranked, wanted, _KS)
            epochs.append({name: float(values.mean(dtype=np.float64)) for name, values in found.items()})
            report(epoch, epochs[-1][self._metric])
            return early_stop and len(epochs) - self._best(epochs) >= _PATIENCE

        most = max(MOST_EPOCHS, als.iterations) if early_stop else als.iterations
        factors = fit_als(split.train, als.model_copy(update={"iterations": most}), watch=watch)
        chosen = self._best(epochs) if early_stop else len(epochs)
        return Measured(
            metrics=epochs[chosen - 1],
            epochs=chosen,
            miss_ms=_miss_ms(factors, split.train, config, self._seed),
            factor_bytes=factors.users.nbytes + factors.items.nbytes,
        )

    def _best(self, epochs: list[dict[str, float]]) -> int:
        return 1 + int(np.argmax([values[self._metric] for values in epochs]))


def _miss_ms(factors: Factors, train: csr_matrix, config: RunConfig, seed: int) -> float:
    """The median milliseconds of what a miss computes, over up to 50 users, with the service's numerics and threads."""
    active = np.flatnonzero(np.diff(train.indptr))
    chosen = np.random.default_rng(seed).permutation(active)[:_SERVED_USERS]
    index = build_index(factors.items)
    objective = config.objective()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    taken = []
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            for user in chosen:
                row = train[user]
                allowed = np.ones(train.shape[1], dtype=np.bool_)
                allowed[row.indices] = False
                started = time.perf_counter()
                penalty = effective_regularization(objective, train.shape[1], row.data)
                folded = fold_in(factors.gram, factors.items, row.indices, row.data, penalty)
                top_items(index, folded.vector, _LIST_LENGTH, allowed)
                taken.append((time.perf_counter() - started) * 1e3)
    finally:
        faiss.omp_set_num_threads(threads)
    return round(float(np.median(taken)), 4)
