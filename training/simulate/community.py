"""The community of a simulation: a past to train on, the people who live on from it, and what they truly prefer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.bundle.types import Int64
from training.sample.generate import people
from training.sample.world import Items, Users

PAST_DAYS: Final = 60
"""What models are trained on; the simulated days follow."""

_ITEMS: Final = (600, 3000)


@dataclass(frozen=True, slots=True)
class People:
    """Members and items, as they truly are. Member i is there from the day `joins[i]` of the simulation on, int64
    (n_members,). Day 0 begins at `begins`; times of the world run over `PAST_DAYS` + `days` days.
    """

    users: Users
    items: Items
    joins: Int64
    begins: datetime
    days: int

    def __len__(self) -> int:
        return len(self.joins)

    @property
    def world_days(self) -> int:
        """How long tastes drift: past and simulation."""
        return PAST_DAYS + self.days


@dataclass(frozen=True, slots=True)
class Community:
    """`people` with their ids, the rows of `user_ids` and `item_ids`; `past` and `catalogue` are tables as the sample
    has them. The catalogue also names what is published later.
    """

    people: People
    user_ids: list[str]
    item_ids: list[str]
    past: Any
    catalogue: Any


def make_community(seed: int, n_members: int, days: int, begins: datetime) -> Community:
    """The community of a seed: `n_members` take part, some of them as newcomers of the simulated days.

    About a third of a community is gone by its last days, so twice as many people make the past. Raises ValueError
    where so few are left.
    """
    n_users = 2 * n_members
    n_items = int(np.clip(3 * n_users // 2, *_ITEMS))
    tables, users, items = people(seed, n_users, n_items, PAST_DAYS + days, begins + timedelta(days=days))
    there = np.flatnonzero((users.left > PAST_DAYS) | (users.joined >= PAST_DAYS))[:n_members]
    if len(there) < n_members:
        raise ValueError(f"{len(there)} of {n_users} people are left after the past, {n_members} are wanted")
    before = pc.less(tables.events["timestamp"], pa.scalar(begins, tables.events["timestamp"].type))
    alive = Users(*(getattr(users, name)[there] for name in Users.__slots__))
    joins = np.maximum(alive.joined - PAST_DAYS, 0).astype(np.int64)
    return Community(
        people=People(alive, items, joins, begins, days),
        user_ids=tables.true_users["user_id"].take(pa.array(there)).to_pylist(),
        item_ids=tables.items["item_id"].to_pylist(),
        past=tables.events.filter(before),
        catalogue=tables.items,
    )
