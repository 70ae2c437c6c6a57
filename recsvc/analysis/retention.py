"""Whether users come back, and in what state they are: from days of activity alone.

Days are integers; `user` and `day`, int64 (n_active,) each, name a user (a row, 0 to n_users − 1) and a day on which
the user was active. An entry twice counts once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsvc.bundle.types import Int64

BRACKETS: Final[dict[int, tuple[int, int]]] = {1: (1, 3), 7: (7, 13), 30: (30, 36)}
"""D1, D7 and D30, and the days of their brackets, both ends included."""


@dataclass(frozen=True, slots=True)
class Retained:
    """`users` (n_matured,) rows of those whose window is over; `came_back` bool (n_matured,) who was active."""

    users: Int64
    came_back: NDArray[np.bool_]


def exact(n: int, first: Int64, user: Int64, day: Int64, today: int) -> Retained:
    """Active on day `first` + n. `first` int64 (n_users,); days from `today` on are not over."""
    return bracket(n, n, first, user, day, today)


def bracket(start: int, end: int, first: Int64, user: Int64, day: Int64, today: int) -> Retained:
    """Active on any day of `first` + start to `first` + end."""
    age = day - first[user]
    return _of_matured(user[(age >= start) & (age <= end)], first + end < today)


def rolling(n: int, first: Int64, user: Int64, day: Int64, today: int) -> Retained:
    """Active on day `first` + n or on any complete day after it; older cohorts have had more of those."""
    seen = (day - first[user] >= n) & (day < today)
    return _of_matured(user[seen], first + n < today)


def recurring(user: Int64, day: Int64, days: int) -> list[list[int]]:
    """Row d: of those active on day d, how many were active on day d, d + 1, … up to `days` − 1."""
    active = _grid(user, day, 0, days)
    return [[int((active[:, d] & active[:, later]).sum()) for later in range(d, days)] for d in range(days)]


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Users by state, int64 (n_days,) each: `new` active for the first time ever, `current` active the day before as
    well, `resurrected` active again after a pause; `dormant` active the day before and not on this one."""

    new: Int64
    current: Int64
    resurrected: Int64
    dormant: Int64


def lifecycle(user: Int64, day: Int64, start: int, end: int) -> Lifecycle:
    """The states on each day from `start` to before `end`; activity before `start` decides who is new."""
    users = int(user.max()) + 1 if len(user) else 0
    first = np.full(users, np.iinfo(np.int64).max)
    np.minimum.at(first, user, day)
    days = np.arange(start, end)
    active = _grid(user, day, start - 1, end)
    now, before = active[:, 1:], active[:, :-1]
    new = now & (first[:, None] == days)
    return Lifecycle(
        new.sum(axis=0),
        (now & before).sum(axis=0),
        (now & ~before & ~new).sum(axis=0),
        (before & ~now).sum(axis=0),
    )


def _grid(user: Int64, day: Int64, start: int, end: int) -> NDArray[np.bool_]:
    """Activity as bool (n_users, end − start)."""
    grid = np.zeros((int(user.max()) + 1 if len(user) else 0, end - start), np.bool_)
    within = (day >= start) & (day < end)
    grid[user[within], day[within] - start] = True
    return grid


def _of_matured(user: Int64, matured: NDArray[np.bool_]) -> Retained:
    came = np.zeros(len(matured), np.bool_)
    came[user] = True
    rows = np.flatnonzero(matured)
    return Retained(rows, came[rows])
