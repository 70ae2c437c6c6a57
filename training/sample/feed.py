"""What the sample's feed shows: visits over the days, and the list put together for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Float64, Int64
from training.sample.world import Items, Users

SLOTS: Final = 10
SOURCES: Final = ("personalised", "popular", "fresh")
SOURCE_SHARES: Final = (0.5, 0.3, 0.2)
FRESH_DAYS: Final = 3.0
EXTRA_VISITS: Final = 0.4
WEEKEND_LIFT: Final = 1.3
FIRST_WEEKEND_DAY: Final = 5


@dataclass(frozen=True, slots=True)
class Impressions:
    """Slots filled, ordered by visit and position. `visit` number of the visit; `position` from 1; `source` position
    in SOURCES; `start` of the visit, days since the period's start.
    """

    user: Int64
    item: Int64
    visit: Int64
    position: Int64
    source: Int64
    start: Float64


def make_visits(rng: np.random.Generator, users: Users, days: int, first_weekday: int) -> tuple[Int64, Float64]:
    """The visits in order of time: whose each is, and its start in days since the period's start.

    A user visits on the day of joining, and on later days with the probability `activity`, until leaving.
    """
    day = np.arange(days)
    weekend = (first_weekday + day) % 7 >= FIRST_WEEKEND_DAY
    chance = np.minimum(users.activity[:, None] * np.where(weekend, WEEKEND_LIFT, 1.0), 0.95)
    comes = rng.random(chance.shape) < chance
    comes |= day == users.joined[:, None]
    comes &= (day >= users.joined[:, None]) & (day < users.left[:, None])
    visits = np.where(comes, 1 + rng.poisson(EXTRA_VISITS, size=comes.shape), 0)
    user, on_day = np.nonzero(visits)
    repeat = visits[user, on_day]
    user, on_day = np.repeat(user, repeat), np.repeat(on_day, repeat)
    hour = (users.hour[user] + rng.normal(0.0, 1.5, size=len(user))) % 24.0
    # A visit that starts at midnight would run into the day after the last.
    start = on_day + np.minimum(hour, 23.5) / 24.0
    order = np.argsort(start, kind="stable")
    return user[order], start[order]


def fill_slots(
    rng: np.random.Generator, users: Users, items: Items, visit_user: Int64, visit_start: Float64, days: int
) -> Impressions:
    """SLOTS draws a visit, each from a source drawn by SOURCE_SHARES; an item is put before a user at most once."""
    visit = np.repeat(np.arange(len(visit_user)), SLOTS)
    user, start = visit_user[visit], visit_start[visit]
    source = rng.choice(len(SOURCES), size=len(visit), p=SOURCE_SHARES)
    item = np.empty(len(visit), dtype=np.int64)
    everything = _Shelf(items, np.zeros_like(items.topic), 1)
    by_topic = _Shelf(items, items.topic, users.first_factors.shape[1])
    for code, name in enumerate(SOURCES):
        rows = source == code
        shelf = np.zeros(int(rows.sum()), dtype=np.int64)
        if name == "personalised":
            wishes = users.interests(user[rows], start[rows] / days)
            drawn = by_topic.draw(rng, _draw_column(rng, wishes), start[rows], None)
        else:
            drawn = everything.draw(rng, shelf, start[rows], FRESH_DAYS if name == "fresh" else None)
        # A shelf with nothing published yet: something popular instead.
        instead = everything.draw(rng, shelf, start[rows], None)
        item[rows] = np.where(drawn >= 0, drawn, instead)
    _, first = np.unique(user * len(items.topic) + item, return_index=True)
    kept = np.sort(first)
    visit = visit[kept]
    position = np.arange(len(visit)) - np.searchsorted(visit, visit) + 1
    return Impressions(user[kept], item[kept], visit, position, source[kept], start[kept])


def _draw_column(rng: np.random.Generator, weights: Float64) -> Int64:
    """One column of each row, drawn by the row's weights; int64 (n,)."""
    cumulative = np.cumsum(weights, axis=1)
    threshold = rng.random(len(weights)) * cumulative[:, -1]
    passed: Bool = cumulative <= threshold[:, None]
    column: Int64 = np.minimum(passed.sum(axis=1), weights.shape[1] - 1)
    return column


class _Shelf:
    """Items by shelf and then by publication, so that what a shelf holds at a time is one stretch of an array."""

    def __init__(self, items: Items, shelf: Int64, n_shelves: int) -> None:
        self._order = np.lexsort((items.published, shelf))
        # Publication days stay far below a million on either side of the period's start.
        self._keys = shelf[self._order] * 1e6 + items.published[self._order]
        self._cumulative = np.concatenate([[0.0], np.cumsum(items.reach[self._order])])
        self._first = np.searchsorted(shelf[self._order], np.arange(n_shelves))

    def draw(self, rng: np.random.Generator, shelf: Int64, time: Float64, window: float | None) -> Int64:
        """An item published by then (in the last `window` days), by reach, from each shelf; -1 where there is none."""
        end = np.searchsorted(self._keys, shelf * 1e6 + time)
        begin = self._first[shelf]
        if window is not None:
            begin = np.maximum(begin, np.searchsorted(self._keys, shelf * 1e6 + time - window))
        low, high = self._cumulative[begin], self._cumulative[end]
        target = low + rng.random(len(shelf)) * (high - low)
        place = np.searchsorted(self._cumulative, target, side="right") - 1
        inside = np.clip(place, begin, np.maximum(end - 1, begin))
        return np.where(end > begin, self._order[np.minimum(inside, len(self._order) - 1)], -1)
