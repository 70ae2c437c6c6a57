"""Who comes on which day: by habit, by how well they were served lately, and by a notification once they are gone."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Float64, Int64
from training.sample.feed import EXTRA_VISITS, FIRST_WEEKEND_DAY, WEEKEND_LIFT
from training.simulate.community import PAST_DAYS, People

TYPICAL: Final = 0.3
"""The share of what is looked at and then played, at which a habit stays as it is."""
PULL: Final = 6.0
"""How steeply a day's chance of a visit goes with the mood."""
MOOD_RATE: Final = 0.3
"""How much of the mood is the last day's."""
LEAVING: Final = 0.06
"""The chance to leave after a day, in a typical mood; up to twice that in a bad one."""
AWAY_DAYS: Final = 3
"""Who is gone for so long is notified, once a day."""
OPENING: Final = 0.03
"""The chance that a notification brings somebody back."""
MOST_CHANCE: Final = 0.95
_APART_HOURS: Final = 3
"""Between two visits of a day; the second one knows what was done in the first."""


class Lives:
    """The members' moods and comings. What is drawn depends on seed, day and member alone, so that the same people in
    another world meet the same chances."""

    def __init__(self, people: People, seed: int) -> None:
        self._people = people
        self._seed = seed
        count = len(people)
        self._mood: Float64 = np.full(count, TYPICAL)
        self._gone_on: Int64 = np.full(count, -1, np.int64)

    def visits(self, day: int) -> tuple[Int64, Int64]:
        """The visits of a day by hour: whose they are, and the hour 0–23; a member's visits are hours apart."""
        chance, extra, hours = self._draws(day, 0, 3)
        comes = self._comes(day, chance)
        self._gone_on[comes] = -1
        first = np.clip(np.floor(self._people.users.hour + 4 * hours - 2), 0, 20).astype(np.int64)
        again = comes & (extra < EXTRA_VISITS / (1 + EXTRA_VISITS))
        member = np.concatenate([np.flatnonzero(comes), np.flatnonzero(again)])
        hour = np.concatenate([first[comes], first[again] + _APART_HOURS])
        order = np.lexsort((member, hour))
        return member[order], hour[order]

    def end(self, day: int, looked: Int64, played: Int64) -> None:
        """What a day leaves behind: counts of slots looked at and played, int64 (n_members,) each."""
        came = looked > 0
        share = played[came] / looked[came]
        self._mood[came] += MOOD_RATE * (share - self._mood[came])
        (leaving,) = self._draws(day, 1, 1)
        leaves = came & (leaving < LEAVING * self._pull(-1.0))
        self._gone_on[leaves] = day
        self._mood[leaves] = TYPICAL  # whoever is won back gives it another try

    def _comes(self, day: int, chance: Float64) -> Bool:
        people = self._people
        weekend = (people.begins.weekday() + day) % 7 >= FIRST_WEEKEND_DAY
        habit = people.users.activity * (WEEKEND_LIFT if weekend else 1.0)
        staying = (self._gone_on < 0) & (chance < np.minimum(habit * self._pull(1.0), MOST_CHANCE))
        notified = (self._gone_on >= 0) & (day - self._gone_on >= AWAY_DAYS) & (chance < OPENING)
        newcomer = (people.joins == day) & (people.users.joined >= PAST_DAYS)
        comes: Bool = newcomer | ((people.joins <= day) & (staying | notified))
        return comes

    def _pull(self, sign: float) -> Float64:
        """0 to 2, and 1 in a typical mood."""
        pull: Float64 = 2.0 / (1.0 + np.exp(-sign * PULL * (self._mood - TYPICAL)))
        return pull

    def _draws(self, day: int, what: int, count: int) -> Float64:
        return np.random.default_rng([self._seed, day, what]).random((count, len(self._mood)))
