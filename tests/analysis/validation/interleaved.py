"""Interleaving beside A/B among simulated people: the same winner, and with how many fewer users?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import stats

from recsvc.analysis.effects import effect, moments
from recsvc.analysis.interleaving import CREDIT, preference
from recsvc.analysis.metrics import METRICS
from recsvc.bundle.types import Float64, Int64
from recsvc.events.schema import EVENT_TYPES
from recsvc.experiments.interleaving import team_draft
from tests.analysis.validation.checks import ALPHA, Finding
from tests.analysis.validation.simulated import MEMBERS, NOISE, NoisyTaste, both_lives, columns_of, people_of
from training.sample.behaviour import Acts
from training.sample.feed import SLOTS, Impressions
from training.simulate.days import live

_OUTCOMES: Final = {
    "clicks": ("view",),
    "positives": ("like", "comment", "share", "follow", "save", "finish"),
    "hides": ("skip", "not_interested"),
}
_WORTH: Final[Float64] = np.array(
    [sum(CREDIT[name] for name, types in _OUTCOMES.items() if kind in types) for kind in EVENT_TYPES]
)
"""By type of event, what it is worth to the team of its item."""
_BEYOND: Final = float(stats.norm.isf(ALPHA / 2))


class _Mixed:
    """Two servers' lists drafted into one; `credit` of each member for each team, float64 (2, MEMBERS)."""

    def __init__(self, teams: tuple[NoisyTaste, NoisyTaste], rng: np.random.Generator) -> None:
        self._teams = teams
        self._rng = rng
        self._of_slot: Int64 = np.empty(0, np.int64)
        self.credit: Float64 = np.zeros((2, MEMBERS))

    def lists(self, members: Int64, time: float) -> list[Int64]:
        first, second = (team.lists(members, time) for team in self._teams)
        lists, teams = [], []
        for ours, theirs in zip(first, second, strict=True):
            picks = team_draft(ours.tolist(), theirs.tolist(), SLOTS, lambda: bool(self._rng.random() < 0.5))
            lists.append(np.array([(ours, theirs)[team][place] for team, place in picks], np.int64))
            teams += [team for team, _ in picks]
        self._of_slot = np.array(teams, np.int64)
        return lists

    def happened(self, shown: Impressions, acts: Acts, time: float) -> None:
        team, user = self._of_slot[acts.impression], shown.user[acts.impression]
        np.add.at(self.credit, (team, user), _WORTH[acts.type])


def methods(runs: int) -> Iterator[Finding]:
    """How often each method shows which arm is better, on as many users; and that neither shows the opposite more
    often than its level allows. The last line's name says how many times fewer users interleaving takes: the mean
    estimate in standard errors grows with the root of the users.
    """
    shown, opposite, z = {"A/B": 0, "interleaving": 0}, {"A/B": 0, "interleaving": 0}, {"A/B": 0.0, "interleaving": 0.0}
    for seed in range(runs):
        for method, value in (("A/B", _compared(seed)), ("interleaving", _interleaved(seed))):
            z[method] += value / runs
            shown[method] += value > _BEYOND
            opposite[method] += value < -_BEYOND
    fewer = (z["interleaving"] / z["A/B"]) ** 2
    for method, hits in shown.items():
        kept = opposite[method] <= max(1, ALPHA / 2 * runs)
        yield Finding(f"the better arm shown by {method}, {MEMBERS} users", hits, runs, "nothing", 1.0, kept)
    more = float(stats.binomtest(shown["interleaving"], runs, shown["A/B"] / runs, alternative="less").pvalue)
    name = f"interleaving, with {fewer:.1f} times fewer users"
    yield Finding(name, shown["interleaving"], runs, "no less than A/B", more, more > ALPHA)


def _compared(seed: int) -> float:
    """The estimate of an A/B test in standard errors; above 0 the treatment, which knows tastes better."""
    lives = both_lives(seed)
    treated = np.random.default_rng([5, seed]).random(MEMBERS) < 0.5
    arms = [moments(columns_of(lives[arm], rows)) for arm, rows in (("control", ~treated), ("treatment", treated))]
    found = effect(METRICS["ctr"], arms[0], arms[1], ALPHA)
    assert found is not None
    return float(found.difference.value / found.standard_error)


def _interleaved(seed: int) -> float:
    """The same by interleaving: all members are shown mixed lists."""
    people = people_of(seed)
    teams = tuple(NoisyTaste(people, noise, np.random.default_rng([7, seed])) for noise in NOISE.values())
    mixed = _Mixed((teams[0], teams[1]), np.random.default_rng([10, seed]))
    live(people, mixed, seed, slots=1)
    found = preference("a", "b", mixed.credit[0], mixed.credit[1])
    assert found.interval is not None
    half = (found.interval[1] - found.interval[0]) / 2
    return float(found.score / (half / float(stats.t.isf(ALPHA / 2, found.users - 1))))
