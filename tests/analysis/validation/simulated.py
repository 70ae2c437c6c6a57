"""Experiments among simulated people, without a service: does the interval hold what is true of all of them?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np
from scipy import stats

from recsvc.analysis.effects import effect, moments
from recsvc.analysis.metrics import METRICS
from recsvc.bundle.types import Bool, Float64, Int64
from tests.analysis.validation.checks import ALPHA, Finding
from training.sample.behaviour import Acts
from training.sample.feed import SLOTS, Impressions
from training.sample.world import make_items, make_users, topic_shares
from training.simulate.community import PAST_DAYS, People
from training.simulate.days import live
from training.simulate.outcomes import Outcomes

MEMBERS: Final = 400
"""Both arms together, of each experiment."""
DAYS: Final = 6
WINDOW_DAYS: Final = 4
NOISE: Final = {"control": 6.0, "treatment": 5.0}
"""By arm, the error with which its lists know the people's tastes: standard deviation, beside a preference of 3 for
the topics that somebody likes."""
SURE: Final = 0.01
"""As in the other checks: how seldom chance alone may call a promise broken."""
CHECKED: Final = ("ctr", "views", "active_days")

_N_ITEMS: Final = 600
_OFFERED: Final = 0.3
_MONDAY: Final = datetime(2026, 11, 2, tzinfo=UTC)


class NoisyTaste:
    """Lists of what people like best, by a score with an error; each time of another part of the items."""

    def __init__(self, people: People, noise: float, rng: np.random.Generator) -> None:
        score = people.users.last_factors @ people.items.factors.T
        self._score = score + noise * rng.normal(size=score.shape)
        self._rng = rng

    def lists(self, members: Int64, time: float) -> list[Int64]:
        offered = np.flatnonzero(self._rng.random(self._score.shape[1]) < _OFFERED)
        best = np.argsort(-self._score[np.ix_(members, offered)], axis=1)[:, :SLOTS]
        return list(offered[best])

    def happened(self, shown: Impressions, acts: Acts, time: float) -> None:
        """Nothing is learnt of it."""


def lifts(runs: int) -> Iterator[Finding]:
    """A/B among people who return or leave by how they are served: how often the intervals hold the true lift.

    Each run has people of its own, of whom everybody lives once with each arm. The truth is the lift among the people
    of all runs; the experiment sees one of the two lives of each.
    """
    worlds = [both_lives(seed) for seed in range(runs)]
    for name in CHECKED:
        true = _mean(name, [run["treatment"] for run in worlds]) / _mean(name, [run["control"] for run in worlds]) - 1
        fixed = always = 0
        for seed, run in enumerate(worlds):
            treated = np.random.default_rng([5, seed]).random(MEMBERS) < 0.5
            arms = [
                moments(columns_of(run[arm], rows)) for arm, rows in (("control", ~treated), ("treatment", treated))
            ]
            found = effect(METRICS[name], arms[0], arms[1], ALPHA)
            assert found is not None
            assert found.relative is not None
            fixed += found.relative.fixed[0] <= true <= found.relative.fixed[1]
            always += found.relative.always[0] <= true <= found.relative.always[1]
        words = f"{name}, {true:+.1%}"
        p_value = float(stats.binomtest(fixed, runs, 1 - ALPHA).pvalue)
        kept = p_value > SURE / len(CHECKED)
        yield Finding(f"simulated A/B, one look: {words}", fixed, runs, "95 %", p_value, kept)
        p_value = float(stats.binomtest(always, runs, 1 - ALPHA, alternative="less").pvalue)
        yield Finding(f"simulated A/B, always valid: {words}", always, runs, "at least 95 %", p_value, p_value > SURE)


def people_of(seed: int) -> People:
    """People of a run's own; the items are the same in every run."""
    shares = topic_shares(np.random.default_rng(8))
    items = make_items(np.random.default_rng(9), _N_ITEMS, PAST_DAYS + DAYS, shares)
    users = make_users(np.random.default_rng([6, seed]), MEMBERS, PAST_DAYS + DAYS, shares)
    return People(users, items, np.zeros(MEMBERS, np.int64), _MONDAY, DAYS)


def both_lives(seed: int) -> dict[str, Outcomes]:
    """What a run's people do with each arm."""
    people = people_of(seed)
    return {
        arm: live(people, NoisyTaste(people, noise, np.random.default_rng([7, seed])), seed, slots=1)
        for arm, noise in NOISE.items()
    }


def columns_of(outcomes: Outcomes, rows: Bool) -> dict[str, Float64]:
    """The user table's columns, of those of the rows whose window is over."""
    took = outcomes.complete(WINDOW_DAYS) & rows
    counted = {
        "impressions": outcomes.looked,
        "clicks": outcomes.played,
        "views": outcomes.played,
        "active_days": outcomes.active.astype(np.int64),
    }
    return {name: outcomes.of_window(values, WINDOW_DAYS)[took] for name, values in counted.items()}


def _mean(name: str, lives: list[Outcomes]) -> float:
    metric = METRICS[name]
    everybody = [columns_of(life, np.ones(MEMBERS, np.bool_)) for life in lives]
    top = sum(float(columns[metric.numerator].sum()) for columns in everybody)
    if metric.denominator is None:
        return top / sum(len(columns[metric.numerator]) for columns in everybody)
    return top / sum(float(columns[metric.denominator].sum()) for columns in everybody)
