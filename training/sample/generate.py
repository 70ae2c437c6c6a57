"""The sample community as tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsvc.bundle.types import Float64, Int64
from recsvc.events.schema import EVENT_TYPES
from training.sample.behaviour import Acts, act
from training.sample.feed import SOURCES, Impressions, fill_slots, make_visits
from training.sample.words import TOPICS
from training.sample.world import DAY_SECONDS, END, Items, Users, make_items, make_users, topic_shares

VERSION: Final = 1
"""Raised whenever the same seed gives another community."""
_TIME: Final = "ms"


@dataclass(frozen=True, slots=True)
class Community:
    """pyarrow Tables: `events` by time, `items`, and the truth: the factors of users and of items.

    The preference of a user for an item at the share p of the period is the inner product of the item's `factors`
    and (1 - p) `first_factors` + p `last_factors` of the user.
    """

    events: Any
    items: Any
    true_users: Any
    true_items: Any


def generate(seed: int, n_users: int = 2000, n_items: int = 3000, days: int = 60) -> Community:
    """The community of a seed; the same arguments give the same tables. The model is in docs/data.md."""
    return people(seed, n_users, n_items, days)[0]


def people(seed: int, n_users: int, n_items: int, days: int, end: datetime = END) -> tuple[Community, Users, Items]:
    """The same as tables and as the arrays behind them, the last day being the one before `end`."""
    of_items, of_users, of_visits, of_slots, of_acts, of_shares = (
        np.random.default_rng(sequence) for sequence in np.random.SeedSequence(seed).spawn(6)
    )
    shares = topic_shares(of_shares)
    items = make_items(of_items, n_items, days, shares)
    users = make_users(of_users, n_users, days, shares)
    start = end - timedelta(days=days)
    visit_user, visit_start = make_visits(of_visits, users, days, start.weekday())
    shown = fill_slots(of_slots, users, items, visit_user, visit_start, days)
    acts = act(of_acts, users, items, shown, days)
    start_ms = round(start.timestamp() * 1000)
    user_ids, item_ids = _ids("u", n_users), _ids("v", n_items)
    community = Community(
        events=_event_table(acts, shown, user_ids, item_ids, start_ms),
        items=_item_table(items, item_ids, start_ms),
        true_users=_true_users(users, user_ids, start_ms),
        true_items=pa.table({"item_id": item_ids, "factors": _lists(items.factors)}),
    )
    return community, users, items


def _ids(letter: str, count: int) -> Any:
    width = max(4, len(str(count)))
    return pa.array([f"{letter}{number:0{width}d}" for number in range(1, count + 1)])


def _times(days: Float64, start_ms: int) -> Any:
    return _moments(start_ms + np.floor(days * DAY_SECONDS * 1000.0).astype(np.int64))


def _moments(milliseconds: Int64) -> Any:
    return pa.array(milliseconds).cast(pa.timestamp(_TIME, tz="UTC"))


def _lists(matrix: Float64) -> Any:
    values = pa.array(matrix.astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])


def _event_table(acts: Acts, shown: Impressions, user_ids: Any, item_ids: Any, start_ms: int) -> Any:
    rows = acts.impression
    visits = pa.array([f"s{number:06d}" for number in range(int(shown.visit[-1]) + 1)])
    return pa.table(
        {
            "event_id": pa.array([f"e{number:07d}" for number in range(1, len(rows) + 1)]),
            "type": pa.array(EVENT_TYPES).take(pa.array(acts.type)),
            "user_id": user_ids.take(pa.array(shown.user[rows])),
            "item_id": item_ids.take(pa.array(shown.item[rows])),
            "timestamp": _moments(start_ms + acts.time),
            "value": pa.array(acts.value.astype(np.float32), mask=np.isnan(acts.value)),
            "session_id": visits.take(pa.array(shown.visit[rows])),
            "position": pa.array(shown.position[rows].astype(np.int8)),
            "source": pa.array(SOURCES).take(pa.array(shown.source[rows])),
        }
    )


def _item_table(items: Items, item_ids: Any, start_ms: int) -> Any:
    categories = [
        [TOPICS[main].name] if second < 0 else [TOPICS[main].name, TOPICS[second].name]
        for main, second in zip(items.topic.tolist(), items.second_topic.tolist(), strict=True)
    ]
    return pa.table(
        {
            "item_id": item_ids,
            "title": pa.array(items.titles),
            "creator": pa.array(items.creator_names).take(pa.array(items.creator)),
            "categories": pa.array(categories, type=pa.list_(pa.string())),
            "published_at": _times(items.published, start_ms),
        }
    )


def _true_users(users: Users, user_ids: Any, start_ms: int) -> Any:
    return pa.table(
        {
            "user_id": user_ids,
            "joined_at": _times(users.joined, start_ms),
            "first_factors": _lists(users.first_factors),
            "last_factors": _lists(users.last_factors),
        }
    )
