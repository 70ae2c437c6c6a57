"""Folding one user in, against the same equation written in plain NumPy."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from recsvc.scoring.foldin import fold_in
from tests.bench.measurement import Context, Measurement, of_samples, per_call_microseconds, ratio_of_medians

_HISTORY = 50
_ITEMS = 41_000
_REGULARIZATION = 10.0


def measure(context: Context) -> list[Measurement]:
    """A user of 50 items at 64 and at 128 factors."""
    return [line for factors in (64, 128) for line in _measure(factors)]


def _measure(factors: int) -> list[Measurement]:
    rng = np.random.default_rng(1)
    item_factors = (rng.standard_normal((_ITEMS, factors)) / np.sqrt(factors)).astype(np.float32)
    gram = item_factors.astype(np.float64).T @ item_factors.astype(np.float64)
    items = np.sort(rng.choice(_ITEMS, _HISTORY, replace=False)).astype(np.int32)
    confidence = (1 + 40 * rng.random(_HISTORY)).astype(np.float32)
    ridge = _REGULARIZATION * np.eye(factors)

    def ours() -> object:
        return fold_in(gram, item_factors, items, confidence, _REGULARIZATION).vector

    def bare() -> np.ndarray:
        history = item_factors[items].astype(np.float64)
        system = gram + (history.T * (confidence - 1.0)) @ history + ridge
        return np.linalg.solve(system, history.T @ confidence)

    with threadpool_limits(limits=1, user_api="blas"):
        difference = float(np.abs(ours() - bare()).max())
        if difference > 1e-5:
            raise AssertionError(f"fold_in and NumPy differ by {difference}: they do not compute the same thing")
        system = gram + ridge
        target = np.ones(factors)
        folded, plain = per_call_microseconds(ours, bare)
        solve, _ = per_call_microseconds(lambda: np.linalg.solve(system, target), lambda: None, rounds=5)
    name = f"fold in {_HISTORY} items, {factors} factors"
    ratio = ratio_of_medians(folded, plain)
    note = f"NumPy takes {np.median(plain):.0f} µs for the same equation, np.linalg.solve alone {np.median(solve):.0f}"
    return [
        of_samples(name, "µs", folded, notes=[note], details={"numpy_us": plain, "numpy_solve_alone_us": solve}),
        Measurement(f"{name} / NumPy", "×", ratio, target=1.1),
    ]
