"""The days of a simulation, one after the other: people ask, are shown a list, act on it, and come back or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from recsvc.bundle.types import Int64
from recsvc.events.schema import TYPE_CODES
from training.sample.behaviour import Acts, act, play_chance
from training.sample.feed import Impressions
from training.simulate.community import PAST_DAYS, People
from training.simulate.lives import Lives
from training.simulate.outcomes import Outcomes

HOURS: Final = 24
"""As many slots has a day at most."""
_STARTING: Final = 0.75
"""Visits start within this share of their slot: none lasts longer than the rest of an hour."""


class Server(Protocol):
    """Where lists come from. Times are days since the simulation began."""

    def lists(self, members: Int64, time: float) -> list[Int64]:
        """What each member, none of them twice, is shown at that time: item rows, the first place first."""

    def happened(self, shown: Impressions, acts: Acts, time: float) -> None:
        """By that time these things were done with what the last lists showed."""


def live(
    people: People, server: Server, seed: int, *, slots: int = HOURS, told: Callable[[int], None] | None = None
) -> Outcomes:
    """All days of the people. Who comes within one of the `slots` of a day is served at its start, and what they do
    has arrived at its end. `told` is called with the number of visits after each day."""
    lives = Lives(people, seed)
    outcomes = Outcomes.none(len(people), people.days)
    for day in range(people.days):
        member, hour = lives.visits(day)
        place = hour * slots // HOURS
        for slot in np.unique(place).tolist():
            # Of two visits within a slot one is made: the second was to know of the first.
            group = np.unique(member[place == slot])
            _visit(people, server, outcomes, group, (day, slot, slots), seed)
        lives.end(day, outcomes.looked[:, day], outcomes.played[:, day])
        if told is not None:
            told(len(member))
    return outcomes


def _visit(
    people: People, server: Server, outcomes: Outcomes, members: Int64, when: tuple[int, int, int], seed: int
) -> None:
    """The visits of one slot: `when` the day, the slot, and how many slots a day has."""
    day, slot, slots = when
    start, end = day + slot / slots, day + (slot + 1) / slots
    rng = np.random.default_rng([seed, day, 2, slot])
    lists = server.lists(members, start)
    sizes = [len(items) for items in lists]
    visit = np.repeat(np.arange(len(members)), sizes)
    begins = PAST_DAYS + start + rng.random(len(members)) * _STARTING * (end - start)
    shown = Impressions(
        user=members[visit],
        item=np.concatenate(lists),
        visit=visit,
        position=np.concatenate([np.arange(1, size + 1) for size in sizes]),
        source=np.zeros(len(visit), np.int64),
        start=begins[visit],
    )
    acts = act(rng, people.users, people.items, shown, people.world_days, unseen=False)
    server.happened(shown, acts, end)
    _count(people, outcomes, day, shown, acts)


def _count(people: People, outcomes: Outcomes, day: int, shown: Impressions, acts: Acts) -> None:
    looked = acts.impression[acts.type == TYPE_CODES["impression"]]
    user = shown.user[looked]
    progress = shown.start[looked] / people.world_days
    chances = play_chance(people.users.affinity(user, people.items, shown.item[looked], progress))
    np.add.at(outcomes.looked[:, day], user, 1)
    np.add.at(outcomes.chances[:, day], user, chances)
    np.add.at(outcomes.played[:, day], shown.user[acts.impression[acts.type == TYPE_CODES["view"]]], 1)
    outcomes.active[shown.user[acts.impression[acts.type != TYPE_CODES["impression"]]], day] = True
