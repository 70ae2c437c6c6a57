"""The promises, each put to the test over many seeded runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from recsvc.analysis.definition import Variant
from recsvc.analysis.effects import effect, moments
from recsvc.analysis.metrics import METRICS
from recsvc.analysis.srm import sample_ratio
from tests.analysis.validation.population import LIFT, TRUTH, columns_of, split, users

ALPHA: Final = 0.05
USERS: Final = 2_000
"""Both arms together, in runs that look once."""

DAYS: Final = 28
DAILY_USERS: Final = 150
ASSIGNMENTS: Final = 1_000_000
_SURE: Final = 0.01
"""A promise is called broken when chance alone would show such figures in fewer than one validation of a hundred."""

_ARMS: Final = (Variant("control", 1), Variant("treatment", 1))


@dataclass(frozen=True, slots=True)
class Finding:
    """`hits` in `runs`, what was `promised`, the p-value of the promise, and whether it is `kept`."""

    name: str
    hits: int
    runs: int
    promised: str
    p_value: float
    kept: bool


def false_positives(runs: int) -> Iterator[Finding]:
    """A/A, one look: each metric's false positives are as many as the level says; Holm's correction over them."""
    hits = dict.fromkeys(METRICS, 0)
    for seed in range(runs):
        rng = np.random.default_rng([1, seed])
        table = users(rng, USERS)
        control, treatment = split(table, rng.random(USERS) < 0.5)
        for name, metric in METRICS.items():
            found = effect(metric, moments(columns_of(name, control)), moments(columns_of(name, treatment)), ALPHA)
            hits[name] += found is None or found.p_value < ALPHA
    p_values = {name: float(stats.binomtest(count, runs, ALPHA).pvalue) for name, count in hits.items()}
    rejected = _holm(p_values)
    for name, count in hits.items():
        yield Finding(f"A/A, one look: {name}", count, runs, "5 %", p_values[name], name not in rejected)


def daily_looks(runs: int) -> Iterator[Finding]:
    """A/A, a look every day for four weeks: at most 5 % of runs may ever exclude 0. The interval for one look, too, for
    comparison: it promises nothing here."""
    for name in ("ctr", "positives"):
        found = [ever_excluded(name, seed) for seed in range(runs)]
        always, fixed = (sum(one) for one in zip(*found, strict=True))
        p_value = float(stats.binomtest(always, runs, ALPHA, alternative="greater").pvalue)
        yield Finding(f"A/A, daily looks, always valid: {name}", always, runs, "at most 5 %", p_value, p_value > _SURE)
        yield Finding(f"A/A, daily looks, interval for one look: {name}", fixed, runs, "nothing", 1.0, kept=True)


def ever_excluded(name: str, seed: int) -> tuple[bool, bool]:
    """Whether the always valid interval, and the one for a single look, excluded 0 on any day of one experiment."""
    rng = np.random.default_rng([2, seed])
    table = columns_of(name, users(rng, DAYS * DAILY_USERS))
    treated = rng.random(DAYS * DAILY_USERS) < 0.5
    looks = [_look(name, table, treated, day * DAILY_USERS) for day in range(1, DAYS + 1)]
    return any(low > 0 or high < 0 for (low, high), _ in looks), any(low > 0 or high < 0 for _, (low, high) in looks)


def coverage(runs: int) -> Iterator[Finding]:
    """A/B with a known effect: how often the interval holds it; the one for a single look 95 %, the other at least."""
    for name, mean in TRUTH.items():
        fixed = always = 0
        for seed in range(runs):
            rng = np.random.default_rng([3, seed])
            arms = [moments(columns_of(name, users(rng, USERS // 2, lift))) for lift in (0.0, LIFT)]
            found = effect(METRICS[name], arms[0], arms[1], ALPHA)
            assert found is not None
            fixed += found.difference.fixed[0] <= mean * LIFT <= found.difference.fixed[1]
            always += found.difference.always[0] <= mean * LIFT <= found.difference.always[1]
        p_value = float(stats.binomtest(fixed, runs, 1 - ALPHA).pvalue)
        yield Finding(f"A/B coverage, one look: {name}", fixed, runs, "95 %", p_value, p_value > _SURE / len(TRUTH))
        p_value = float(stats.binomtest(always, runs, 1 - ALPHA, alternative="less").pvalue)
        yield Finding(f"A/B coverage, always valid: {name}", always, runs, "at least 95 %", p_value, p_value > _SURE)


def sample_ratios(runs: int) -> Iterator[Finding]:
    """A million assignments: no alarm when all arrive, and an alarm when one in a hundred of one arm does not."""
    for name, lost in (("nothing lost", 0.0), ("1 % of one arm lost", 0.01)):
        alarms = 0
        for seed in range(runs):
            rng = np.random.default_rng([4, seed])
            treated = rng.random(ASSIGNMENTS) < 0.5
            arrived = ~treated | (rng.random(ASSIGNMENTS) >= lost)
            counts = {"control": int((~treated).sum()), "treatment": int((treated & arrived).sum())}
            alarms += sample_ratio(counts, _ARMS).mismatch
        if lost:
            # 4.99 standard deviations are missing, and the alarm is at 3.29: 95.5 % by the normal approximation.
            p_value = float(stats.binomtest(alarms, runs, 0.955, alternative="less").pvalue)
            yield Finding(f"sample ratio: {name}", alarms, runs, "95.5 %", p_value, p_value > _SURE)
        else:
            p_value = float(stats.binomtest(alarms, runs, 0.001, alternative="greater").pvalue)
            yield Finding(f"sample ratio: {name}", alarms, runs, "0.1 %", p_value, p_value > _SURE)


def _look(
    name: str, table: dict[str, np.ndarray], treated: np.ndarray, count: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Both intervals by the first `count` users; of no width to speak of while there is nothing to test."""
    control, treatment = split({key: values[:count] for key, values in table.items()}, treated[:count])
    found = effect(METRICS[name], moments(control), moments(treatment), ALPHA)
    return ((-1.0, 1.0), (-1.0, 1.0)) if found is None else (found.difference.always, found.difference.fixed)


def _holm(p_values: dict[str, float]) -> set[str]:
    """The names rejected at `_SURE` over all of them."""
    rejected: set[str] = set()
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[name] > _SURE / (len(p_values) - rank):
            break
        rejected.add(name)
    return rejected
