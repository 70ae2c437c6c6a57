"""What is known of somebody under one model: the stored history, and the events since."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from recsvc.bundle.types import Bool, Float32, Float64, Int32, UserRow
from recsvc.eventlog.position import StreamId
from recsvc.scoring.confidence import SECONDS_PER_DAY, combined, session_confidence
from recsvc.serving.degraded import Degraded
from recsvc.serving.eligible import NO_ROWS, NOTHING_UNWANTED
from recsvc.serving.served import History, ServedModel
from recsvc.serving.unwanted import Unwanted
from recsvc.store.records import RecentEvent
from recsvc.store.user_state import UserNews

NEWS_DAYS: Final = 30.0
"""Events older than that wait for the next training."""
NOT_CONSUMED: Final = frozenset({"impression"})
"""Event types after which an item may still be recommended."""
_NOBODY: Final = (NO_ROWS, np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Session:
    """Events of somebody anonymous, in columns: n item ids and types; `values` float32 (n,) and `timestamps`
    float64 (n,) Unix seconds, NaN where there is none."""

    item_ids: list[str]
    types: list[str]
    values: Float32
    timestamps: Float64


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Distinct `items` int32 (n,) with signed `confidence` float32 (n,); `fresh` bool (n,), which of them have news;
    `consumed` int32 rows that do not come back. `row` is the user's in the model, None for a user that it does not
    know. `interests` are categories the user named."""

    row: UserRow | None
    items: Int32
    confidence: Float32
    fresh: Bool
    consumed: Int32
    unwanted: Unwanted = NOTHING_UNWANTED
    interests: tuple[str, ...] = ()
    degraded: tuple[Degraded, ...] = ()

    @property
    def has_positive(self) -> bool:
        """Whether anything was liked, so that the user can be folded in."""
        return bool((self.confidence > 0).any())


def is_empty(news: UserNews | None) -> bool:
    """Whether nothing happened that a list depends on."""
    return news is None or not (news.events or news.unwanted or news.dropped or interests(news.profile))


def interests(profile: dict[str, Any] | None) -> tuple[str, ...]:
    """The categories that a user resource names, each once."""
    named = (profile or {}).get("interests")
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str))) if isinstance(named, list) else ()


def of_history(history: History | None) -> Knowledge:
    """What the model alone knows."""
    items, confidence = _NOBODY if history is None else (history.items, history.confidence)
    row = None if history is None else history.row
    return Knowledge(row, items, confidence, np.zeros(len(items), dtype=np.bool_), items)


def of_user(model: ServedModel, user_id: str, news: UserNews, now: float) -> Knowledge:
    """What the model and the news together say at `now` (Unix seconds).

    Of the events those count that came after what the model was trained on, and are at most NEWS_DAYS old; whatever
    their age, their items do not come back.
    """
    stored = replace(
        of_history(model.history(user_id)),
        unwanted=Unwanted.of(news.unwanted, now),
        interests=interests(news.profile),
        degraded=(Degraded.HISTORY,) if _missing(model, news.dropped, now) else (),
    )
    if not news.events:
        return stored
    rows = {item: model.view.row_of(item) for item in {event.item_id for event in news.events}}
    events = [(row, event) for event in news.events if (row := rows[event.item_id]) is not None]
    seen = [row for row, event in events if event.type not in NOT_CONSUMED]
    since = [(row, event) for row, event in events if _counts(model, event, now)]
    fresh = np.array([row for row, _ in since], dtype=np.int32)
    manifest = model.bundle.manifest
    items, confidence = combined(
        (stored.items, stored.confidence),
        (
            fresh,
            [event.type for _, event in since],
            np.array([math.nan if event.value is None else event.value for _, event in since], dtype=np.float32),
            np.array([event.timestamp for _, event in since], dtype=np.float64),
        ),
        manifest.objective.confidence,
        manifest.as_of,
    )
    return replace(
        stored,
        items=items,
        confidence=confidence,
        fresh=np.isin(items, fresh),
        consumed=np.union1d(stored.consumed, np.array(seen, dtype=np.int32)).astype(np.int32),
    )


def of_session(model: ServedModel, session: Session, now: float) -> tuple[Knowledge, list[str]]:
    """What the events of a session say, and the item ids that are not known."""
    rows = [model.view.row_of(item) for item in session.item_ids]
    known = np.array([row is not None for row in rows], dtype=np.bool_)
    item_rows = np.array([row for row in rows if row is not None], dtype=np.int32)
    types = [kind for kind, is_known in zip(session.types, known, strict=True) if is_known]
    manifest = model.bundle.manifest
    items, confidence = session_confidence(
        manifest.objective.confidence,
        item_rows,
        types,
        session.values[known],
        session.timestamps[known],
        now if manifest.as_of is None else manifest.as_of,
    )
    seen = np.array([kind not in NOT_CONSUMED for kind in types], dtype=np.bool_)
    unknown = dict.fromkeys(item for item, row in zip(session.item_ids, rows, strict=True) if row is None)
    everything = np.ones(len(items), dtype=np.bool_)
    return Knowledge(None, items, confidence, everything, np.unique(item_rows[seen])), list(unknown)


def _counts(model: ServedModel, event: RecentEvent, now: float) -> bool:
    return event.timestamp > now - NEWS_DAYS * SECONDS_PER_DAY and model.is_news(event.partition, event.id)


def _missing(model: ServedModel, dropped: tuple[int, StreamId] | None, now: float) -> bool:
    """Whether an event that is no longer kept would have counted."""
    if dropped is None:
        return False
    partition, at = dropped
    return at.milliseconds / 1000 > now - NEWS_DAYS * SECONDS_PER_DAY and model.is_news(partition, at)
