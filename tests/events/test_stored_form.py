from __future__ import annotations

import pytest

from recsvc.eventlog.event import LogEvent, decode
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.events.stored_form import incoming
from recsvc.events.times import RECENT_SECONDS

NOW = 1_795_000_000.5


def like(**fields: object) -> LogEvent:
    return LogEvent(**({"event_id": "e", "type": "like", "user_id": "u1", "timestamp": NOW, "item_id": "v1"} | fields))  # type: ignore[arg-type]


def test_the_entry_of_the_log_is_the_whole_event() -> None:
    event = like(value=0.25, session_id="s", attribution="invalid", recommendation_id="r")
    assert decode(incoming(event, "u1", NOW).payload) == event


def test_what_counts_at_once_is_type_time_value_and_item() -> None:
    assert incoming(like(value=0.25), "u1", NOW).recent == (TYPE_CODES["like"], NOW, 0.25, "v1")


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_only_an_impression_leaves_the_lists_as_they_are(kind: str) -> None:
    stored = incoming(like(type=kind), "u1", NOW)
    assert stored.raises == (kind != "impression")
    assert (stored.recent is not None) == (kind != "impression")


def test_an_event_without_an_item_is_not_folded_in() -> None:
    assert incoming(like(type="survey", item_id=None), "u1", NOW).recent is None


def test_old_events_are_for_the_log_alone() -> None:
    assert incoming(like(timestamp=NOW - RECENT_SECONDS - 1), "u1", NOW).recent is None
    assert incoming(like(timestamp=NOW - RECENT_SECONDS + 1), "u1", NOW).recent is not None


@pytest.mark.parametrize(
    ("fields", "unwanted"),
    [
        ({"type": "report"}, "r:v1"),
        ({"type": "not_interested"}, None),
        ({"type": "not_interested", "target_type": "item", "target_id": "v1"}, None),
        ({"type": "not_interested", "item_id": None, "target_type": "creator", "target_id": "c:4"}, "c:c:4"),
        ({"type": "not_interested", "target_type": "topic", "target_id": "sport"}, "t:sport"),
        ({"type": "like"}, None),
    ],
)
def test_what_is_not_wanted_is_named_since_it_was_said(fields: dict[str, object], unwanted: str | None) -> None:
    stored = incoming(like(**fields, timestamp=NOW - 60), "u1", NOW)
    assert stored.unwanted == unwanted
    assert stored.unwanted_ms == int((NOW - 60) * 1000)


def test_an_event_of_a_merged_user_is_logged_as_the_accounts() -> None:
    assert decode(incoming(like(), "account", NOW).payload) == like(user_id="account")
