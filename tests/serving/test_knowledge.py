"""What is known of a user: the stored history, and those events that the model has not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from recsvc.serving.degraded import Degraded
from recsvc.serving.knowledge import Knowledge, interests, is_empty, of_user
from recsvc.serving.served import ServedModel
from recsvc.store.records import RecentEvent
from recsvc.store.user_state import UserNews
from tests.builders import AS_OF, make_bundle

DAY = 86_400.0
NOW = AS_OF + 5 * DAY
CUT = StreamId(int(AS_OF * 1000), 7)
NOTHING = UserNews([], None, {}, None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Trained on the log of partitions 3 and 4 up to CUT."""
    ends = {"003": str(CUT), "004": str(CUT)}
    return ServedModel(make_bundle(tmp_path_factory.mktemp("models"), log_ends=ends))


def event(
    item: str, kind: str = "like", *, partition: int = 3, at: StreamId | None = None, age: float = 0
) -> RecentEvent:
    return RecentEvent(kind, item, NOW - age, None, partition, at or StreamId(CUT.milliseconds, 8))


def news(*events: RecentEvent, **more: Any) -> UserNews:
    return replace(NOTHING, events=list(events), **more)


def counted(known: Knowledge) -> set[int]:
    return set(known.items[known.fresh].tolist())


def test_without_news_it_is_the_stored_row(model: ServedModel) -> None:
    history = model.history("u004")
    known = of_user(model, "u004", NOTHING, NOW)
    assert history is not None
    assert known.row == history.row
    np.testing.assert_array_equal(known.items, history.items)
    np.testing.assert_array_equal(known.confidence, history.confidence)
    assert not known.fresh.any()


@pytest.mark.parametrize(
    ("partition", "at", "counts"),
    [
        (3, CUT, False),
        (3, StreamId(CUT.milliseconds, 8), True),
        (3, StreamId(CUT.milliseconds + 1, 0), True),
        (4, StreamId(CUT.milliseconds - 1, 99), False),
        (5, StreamId(1, 0), True),
    ],
)
def test_an_event_counts_when_it_came_after_the_log_that_was_trained_on(
    model: ServedModel, partition: int, at: StreamId, *, counts: bool
) -> None:
    known = of_user(model, "nobody", news(event("v001", partition=partition, at=at)), NOW)
    assert counted(known) == ({1} if counts else set())
    assert known.consumed.tolist() == [1]


def test_a_model_that_was_not_trained_on_the_log_takes_every_event(tmp_path: Path) -> None:
    model = ServedModel(make_bundle(tmp_path))
    assert counted(of_user(model, "nobody", news(event("v001", at=StreamId(1, 0))), NOW)) == {1}


def test_an_event_of_more_than_thirty_days_ago_counts_no_more_and_its_item_stays_away(model: ServedModel) -> None:
    known = of_user(model, "nobody", news(event("v001", age=31 * DAY), event("v002", age=29 * DAY)), NOW)
    assert counted(known) == {2}
    assert known.consumed.tolist() == [1, 2]


def test_dislikes_count_too(model: ServedModel) -> None:
    known = of_user(model, "nobody", news(event("v001", "not_interested"), event("v002", "like")), NOW)
    assert dict(zip(known.items.tolist(), np.sign(known.confidence).tolist(), strict=True)) == {1: -1, 2: 1}


def test_items_that_nobody_knows_are_passed_over_and_new_ones_are_not(model: ServedModel) -> None:
    items = LiveItems()
    items.put(LiveItem("new", categories=("music",)))
    model = ServedModel(model.bundle, items)
    known = of_user(model, "nobody", news(event("mystery"), event("new")), NOW)
    assert counted(known) == {300}
    assert known.consumed.tolist() == [300]


@pytest.mark.parametrize(
    ("dropped", "expected"),
    [
        (None, ()),
        ((3, CUT), ()),
        ((3, StreamId(CUT.milliseconds, 8)), (Degraded.HISTORY,)),
        ((5, StreamId(CUT.milliseconds - 1, 0)), (Degraded.HISTORY,)),
        ((5, StreamId(int((NOW - 31 * DAY) * 1000), 0)), ()),
    ],
)
def test_an_event_that_is_no_longer_kept_is_missed_where_it_would_have_counted(
    model: ServedModel, dropped: tuple[int, StreamId] | None, expected: tuple[Degraded, ...]
) -> None:
    assert of_user(model, "nobody", news(event("v001"), dropped=dropped), NOW).degraded == expected


def test_a_user_erased_after_the_data_was_read_is_unknown_to_the_model(model: ServedModel, tmp_path: Path) -> None:
    erasures = Tombstones([Tombstone(digest_of("u004"), StreamId(1, 0), AS_OF)])
    before = ServedModel(model.bundle, erasures=erasures)
    assert before.history("u004") is None
    assert before.history("u005") is not None
    assert of_user(before, "u004", NOTHING, NOW).row is None
    after = ServedModel(make_bundle(tmp_path, erasures_applied_at=AS_OF), erasures=erasures)
    assert after.history("u004") is not None


def test_examples_are_never_erased_users(model: ServedModel) -> None:
    erasures = Tombstones()
    served = ServedModel(model.bundle, erasures=erasures)
    first, *others = served.example_users
    erasures.add(Tombstone(digest_of(first), StreamId(1, 0), AS_OF))
    assert served.example_users == others


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (None, ()),
        ({}, ()),
        ({"interests": None}, ()),
        ({"interests": ["a", "b", "a"]}, ("a", "b")),
        ({"interests": "cooking"}, ()),
    ],
)
def test_interests_are_the_categories_a_profile_names(
    profile: dict[str, Any] | None, expected: tuple[str, ...]
) -> None:
    assert interests(profile) == expected
    assert is_empty(replace(NOTHING, profile=profile)) == (not expected)
