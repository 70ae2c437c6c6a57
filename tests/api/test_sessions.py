"""Recommendations from the events that come with the request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.redis_process import RedisProcess
from tests.running import RunningService, ids

PATH = "/v1/sessions/recommendations"


def event(kind: str, item: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "item_id": item, **more}


def test_liked_items_are_folded_in_and_explain_the_list(service: RunningService) -> None:
    answer = service.post(PATH, {"events": [event("like", "v001"), event("view", "v005", value=0.9)], "limit": 10})
    assert len(answer["items"]) == 10
    assert {item["source"] for item in answer["items"]} == {"als"}
    assert {by for item in answer["items"] for by in item["reason"]["items"]} <= {"v001", "v005"}
    assert answer["degraded"] == []


def test_different_tastes_get_different_lists(service: RunningService) -> None:
    one = service.post(PATH, {"events": [event("like", "v001")]})
    other = service.post(PATH, {"events": [event("like", "v200")]})
    assert ids(one) != ids(other)


def test_consumed_items_do_not_come_back_but_seen_tiles_may(service: RunningService) -> None:
    plain = service.post(PATH, {"events": [], "limit": 20})
    first, second = ids(plain)[:2]
    answer = service.post(PATH, {"events": [event("skip", first), event("impression", second)], "limit": 20})
    assert first not in ids(answer)
    assert second in ids(answer)


def test_excluded_items_do_not_come_and_the_list_stays_full(service: RunningService) -> None:
    body: dict[str, Any] = {"events": [event("like", "v001")], "limit": 10}
    unwanted = ids(service.post(PATH, body))[:3]
    answer = service.post(PATH, {**body, "exclude": unwanted})
    assert len(answer["items"]) == 10
    assert not set(unwanted) & set(ids(answer))


def test_without_a_liked_item_it_is_a_newcomers_list(service: RunningService) -> None:
    answer = service.post(PATH, {"events": [event("skip", "v299")]})
    newcomer = service.recommend("nobody", exclude="v299")
    assert answer["items"] == newcomer["items"]


def test_unknown_items_are_ignored_and_named(service: RunningService) -> None:
    events = [event("like", "mystery"), event("like", "v001"), event("view", "mystery"), event("view", "enigma")]
    answer = service.post(PATH, {"events": events})
    assert answer["unknown_items"] == ["mystery", "enigma"]
    assert answer["items"] == service.post(PATH, {"events": [event("like", "v001")]})["items"]


def test_pages_never_repeat(service: RunningService) -> None:
    body: dict[str, Any] = {"events": [event("like", "v001")], "limit": 60}
    shown: list[str] = []
    while True:
        answer = service.post(PATH, body)
        shown += ids(answer)
        if answer["next_cursor"] is None:
            break
        body["cursor"] = answer["next_cursor"]
    assert len(set(shown)) == len(shown) == 299


def test_nothing_is_stored(service: RunningService, redis_server: RedisProcess) -> None:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        before = set(client.scan_iter())
        service.post(PATH, {"events": [event("like", "v001")]})
        assert set(client.scan_iter()) <= before


def test_events_after_the_training_count_in_full_and_old_ones_less(service: RunningService) -> None:
    fresh = event("like", "v001", timestamp="2030-01-01T00:00:00Z")
    untimed = event("like", "v001")
    old = event("like", "v001", timestamp="2026-08-20T00:00:00Z")
    one, same, less = (service.post(PATH, {"events": [it]})["items"][0]["score"] for it in (fresh, untimed, old))
    assert one == same
    assert less < one


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/events"),
        ({"events": [{"type": "like"}]}, "#/events/0/item_id"),
        ({"events": [event("love", "v1")]}, "#/events/0/type"),
        ({"events": [event("like", "")]}, "#/events/0/item_id"),
        ({"events": [event("like", "v1", timestamp="2026-01-01T00:00:00")]}, "#/events/0/timestamp"),
        ({"events": [event("like", "v1", timestamp="yesterday")]}, "#/events/0/timestamp"),
        ({"events": [event("like", "v1", timestamp=1_700_000_000)]}, "#/events/0/timestamp"),
        ({"events": [event("view", "v1", value=1.5)]}, "#/events/0/value"),
        ({"events": [event("view", "v1")] * 501}, "#/events"),
        ({"events": [], "limit": "5"}, "#/limit"),
        ({"events": [], "limit": 5, "placement": "home"}, "#/placement"),
        ({"events": [], "cursor": "c1.x"}, "#/cursor"),
        ({"events": [], "fields": ["colour"]}, "#/fields"),
    ],
)
def test_bad_input_is_a_422_problem_with_a_pointer(service: RunningService, body: Any, pointer: str) -> None:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
