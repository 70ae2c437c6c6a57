"""People of the simulation: who comes, how being served well or badly tells, and what is counted as the truth."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc
import pytest

from recsvc.bundle.types import Float64, Int64
from training.sample.behaviour import Acts
from training.sample.feed import SLOTS, Impressions
from training.simulate.community import PAST_DAYS, Community, make_community
from training.simulate.days import live
from training.simulate.lives import AWAY_DAYS, Lives
from training.simulate.outcomes import Outcomes

BEGINS = datetime(2026, 11, 2, tzinfo=UTC)
DAYS = 14


@pytest.fixture(scope="module")
def community() -> Community:
    return make_community(4, 200, DAYS, BEGINS)


class Ordered:
    """Shows everybody the best or the worst of all items by their true tastes, never an item twice."""

    def __init__(self, community: Community, sign: float) -> None:
        people = community.people
        self._order = np.argsort(-sign * (people.users.last_factors @ people.items.factors.T), axis=1)
        self._next = np.zeros(len(people), np.int64)
        self.asked: list[tuple[Int64, float]] = []
        self.events: list[tuple[Impressions, Acts, float]] = []

    def lists(self, members: Int64, time: float) -> list[Int64]:
        self.asked.append((members, time))
        shown = [self._order[member, self._next[member] : self._next[member] + SLOTS] for member in members]
        self._next[members] += SLOTS
        return shown

    def happened(self, shown: Impressions, acts: Acts, time: float) -> None:
        self.events.append((shown, acts, time))


class TestCommunity:
    def test_the_past_ends_where_the_simulation_begins(self, community: Community) -> None:
        times = community.past["timestamp"]
        assert pc.max(times).as_py() < BEGINS
        assert (BEGINS - pc.min(times).as_py()).days == PAST_DAYS - 1

    def test_newcomers_are_not_in_the_past(self, community: Community) -> None:
        joins = community.people.joins
        new = {community.user_ids[member] for member in np.flatnonzero(joins > 0)}
        assert 0 < len(new) < len(joins) / 2
        assert new.isdisjoint(community.past["user_id"].to_pylist())

    def test_the_same_seed_gives_the_same_people(self, community: Community) -> None:
        again = make_community(4, 200, DAYS, BEGINS)
        assert again.user_ids == community.user_ids
        assert again.past.equals(community.past)


class TestLives:
    def test_nobody_comes_before_joining_and_newcomers_come_on_that_day(self, community: Community) -> None:
        people = community.people
        lives = Lives(people, 1)
        none = np.zeros(len(people), np.int64)
        for day in range(DAYS):
            members, _ = lives.visits(day)
            assert (people.joins[members] <= day).all()
            joining = np.flatnonzero((people.joins == day) & (people.users.joined >= PAST_DAYS))
            assert set(joining) <= set(members)
            lives.end(day, none, none)

    def test_who_is_served_well_comes_back_more_often(self, community: Community) -> None:
        good, bad = (live(community.people, Ordered(community, sign), 1) for sign in (1.0, -1.0))
        assert good.active.sum() > 1.3 * bad.active.sum()
        everybody = np.ones(len(community.people), np.bool_)
        assert good.click_rate(everybody, 7) > bad.click_rate(everybody, 7) + 0.2

    def test_who_left_stays_away_for_days_and_some_are_won_back(self, community: Community) -> None:
        people = community.people
        lives, seen = Lives(people, 1), np.zeros((len(people), 60), np.bool_)
        for day in range(60):
            members, _ = lives.visits(day)
            looked = np.bincount(members, minlength=len(people)) * SLOTS
            seen[:, day] = looked > 0
            lives.end(day, looked, np.zeros_like(looked))  # nothing pleases
        assert seen[:, 50:].mean() < seen[:, 10:20].mean()
        longest = max(np.diff(np.flatnonzero(row)).max(initial=0) for row in seen)
        assert longest > AWAY_DAYS

    def test_visits_of_a_day_are_hours_apart(self, community: Community) -> None:
        members, hours = Lives(community.people, 1).visits(5)
        for member in np.unique(members):
            assert (np.diff(hours[members == member]) >= 3).all()
        assert ((hours >= 0) & (hours < 24)).all()


class TestDays:
    def test_the_same_seed_lives_the_same_days(self, community: Community) -> None:
        one, two = (live(community.people, Ordered(community, 1.0), 3) for _ in range(2))
        for name in Outcomes.__slots__:
            assert np.array_equal(getattr(one, name), getattr(two, name))

    def test_time_never_goes_back_and_holds_what_happened(self, community: Community) -> None:
        server = Ordered(community, 1.0)
        live(community.people, server, 3)
        moments: list[float] = []
        for (members, asked), (shown, acts, told) in zip(server.asked, server.events, strict=True):
            assert len(set(members.tolist())) == len(members)
            happened = acts.time / 86_400_000 - PAST_DAYS
            assert asked <= happened.min()
            assert happened.max() <= told
            assert set(shown.user.tolist()) == set(members.tolist())
            moments += [asked, told]
        assert moments == sorted(moments)

    def test_only_what_was_looked_at_is_an_impression(self, community: Community) -> None:
        server = Ordered(community, 1.0)
        outcomes = live(community.people, server, 3)
        impressions = sum(int((acts.type == 0).sum()) for _, acts, _ in server.events)
        slots = sum(len(shown.item) for shown, _, _ in server.events)
        assert outcomes.looked.sum() == impressions
        assert 0.5 * slots < impressions < slots

    def test_chances_and_draws_agree(self, community: Community) -> None:
        outcomes = live(community.people, Ordered(community, 1.0), 3)
        played, expected = outcomes.played.sum(), outcomes.chances.sum()
        assert abs(played - expected) < 4 * np.sqrt(expected)


def outcomes_of(looked: list[list[int]], played: list[list[int]]) -> Outcomes:
    seen, clicked = np.array(looked), np.array(played)
    chances: Float64 = clicked * 0.5
    return Outcomes(seen, clicked, chances, clicked > 0)


class TestOutcomes:
    FOUND = outcomes_of(
        [[0, 4, 2, 0], [5, 0, 0, 5], [0, 0, 0, 3], [0, 0, 0, 0]], [[0, 2, 1, 0], [1, 0, 0, 4], [0] * 3 + [1], [0] * 4]
    )
    ALL = np.ones(4, np.bool_)

    def test_a_window_begins_with_the_first_day(self) -> None:
        assert self.FOUND.complete(2).tolist() == [True, True, False, False]
        assert self.FOUND.of_window(self.FOUND.looked, 2).tolist() == [6.0, 5.0, 3.0, 0.0]
        assert self.FOUND.click_rate(self.ALL, 2) == 4 / 11
        assert self.FOUND.click_rate(self.ALL, 2, expected=True) == 2 / 11

    def test_retention_takes_only_days_that_are_over(self) -> None:
        assert self.FOUND.returned(self.ALL, 1) == (1, 2)
        assert self.FOUND.returned(self.ALL, 3) == (1, 1)
        assert self.FOUND.retention(self.ALL).tolist() == [1.0, 0.5, 0.0, 1.0]
