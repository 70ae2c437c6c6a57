"""What a user does counts in the very next answer, whichever process gives it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from recsvc.bundle.types import Bundle
from tests.api.conftest import consumed
from tests.redis_process import RedisProcess
from tests.running import RunningService, ids, wait_until


def happen(service: RunningService, user: str, kind: str, *items: str, **more: Any) -> None:
    """The user does that with each of the items, or, without any, with the target in `more`."""
    each = [{"item_id": item} for item in items] or [{}]
    events = [{"event_id": secrets.token_hex(8), "type": kind, "user_id": user, **item, **more} for item in each]
    answer = service.client.post("/v1/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"accepted"}


def unwanted(service: RunningService, user: str, kind: str, name: str) -> None:
    happen(service, user, "not_interested", target={"type": kind, "id": name})


def because(answer: Any) -> set[str]:
    return {item for each in answer["items"] for item in each["reason"].get("items", ())}


def everything(service: RunningService, user: str, **parameters: Any) -> list[Any]:
    """The items of every page."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        answer = service.recommend(user, limit=100, **parameters, **({"cursor": cursor} if cursor else {}))
        found += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


class TestTheNextRequest:
    def test_a_new_user_is_answered_by_the_model_after_the_first_like(self, service: RunningService, user: str) -> None:
        before = service.recommend(user)
        assert "als" not in {item["source"] for item in before["items"]}
        happen(service, user, "like", "v010")
        after = service.recommend(user)
        assert {item["source"] for item in after["items"]} == {"als"}
        assert because(after) == {"v010"}
        assert after["degraded"] == []

    def test_consumed_items_leave_whatever_was_done_with_them(self, service: RunningService, user: str) -> None:
        for kind in ("like", "view", "skip", "not_interested", "share", "comment"):
            shown = ids(service.recommend(user))[:2]
            happen(service, user, kind, *shown)
            assert not set(shown) & set(ids(service.recommend(user, limit=100)))

    def test_an_impression_changes_nothing_and_keeps_the_cached_list(self, service: RunningService, user: str) -> None:
        happen(service, user, "like", "v010")
        before = service.recommend(user)
        computed = service.metric("recsvc_compute_seconds_count")
        happen(service, user, "impression", *ids(before))
        assert service.recommend(user)["items"] == before["items"]
        assert service.metric("recsvc_compute_seconds_count") == computed

    def test_events_add_to_the_history_of_a_user_of_the_model(self, service: RunningService, bundle: Bundle) -> None:
        user = "u021"
        before = service.recommend(user, limit=100)
        liked = ids(before)[-3:]
        happen(service, user, "like", *liked)
        after = service.recommend(user, limit=100)
        assert not (consumed(bundle, user) | set(liked)) & set(ids(after))
        assert because(after) & set(liked)
        assert because(after) & consumed(bundle, user)

    def test_a_dislike_lowers_what_is_like_it(self, service: RunningService, user: str) -> None:
        happen(service, user, "like", "v010", "v020")
        before = {item["id"]: item["score"] for item in service.recommend(user, limit=100)["items"]}
        disliked = max(before, key=lambda item: before[item])
        near = next(item for item in ids(service.get(f"/v1/items/{disliked}/similar", limit=100)) if item in before)
        happen(service, user, "not_interested", disliked)
        after = {item["id"]: item["score"] for item in service.recommend(user, limit=100)["items"]}
        assert after.get(near, 0.0) < before[near]

    def test_fifty_events_at_one_process_are_each_seen_by_the_other_at_once(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        for turn in range(50):
            here, there = (service, elsewhere) if turn % 2 else (elsewhere, service)
            first = ids(there.recommend(user, limit=5))[0]
            happen(here, user, "like", first)
            answer = there.recommend(user, limit=5)
            assert first not in ids(answer), turn
            assert answer["degraded"] == []

    def test_a_merged_user_is_answered_as_the_account(self, service: RunningService, user: str) -> None:
        anonymous = f"anon-{user}"
        happen(service, anonymous, "like", "v010")
        happen(service, user, "like", "v020")
        service.post(f"/v1/users/{user}:merge", {"from": anonymous})
        answer, same = service.recommend(user), service.recommend(anonymous)
        assert because(answer) == {"v010", "v020"}
        assert same["items"] == answer["items"]
        assert same["user_id"] == anonymous
        happen(service, user, "like", ids(answer)[0])
        assert ids(answer)[0] not in ids(service.recommend(anonymous))


class TestWhatIsNotWanted:
    def test_a_creator_leaves_every_source_at_once(self, service: RunningService, user: str) -> None:
        for liked in ([], ["v010"]):
            for item in liked:
                happen(service, user, "like", item)
            creator = service.recommend(user, fields="creator")["items"][0]["creator"]
            unwanted(service, user, "creator", creator)
            assert creator not in {item["creator"] for item in everything(service, user, fields="creator")}

    def test_a_topic_leaves_the_newcomers_list(self, service: RunningService, user: str) -> None:
        unwanted(service, user, "topic", "music")
        answer = service.recommend(user, limit=100, fields="categories")
        assert len(answer["items"]) == 100
        assert ["music"] not in [item["categories"] for item in answer["items"]]
        assert service.recommend(user, category="music")["degraded"] == ["filters"]

    def test_it_is_the_users_own(self, service: RunningService, user: str) -> None:
        unwanted(service, user, "topic", "music")
        assert ["music"] in [item["categories"] for item in service.recommend("nobody", fields="categories")["items"]]

    def test_a_reported_item_does_not_come_again(self, service: RunningService, user: str) -> None:
        (first, *_) = ids(service.recommend(user))
        happen(service, user, "report", first)
        assert first not in [item["id"] for item in everything(service, user)]

    def test_disliked_items_of_a_user_who_likes_nothing_stay_away(
        self, service: RunningService, user: str, bundle: Bundle
    ) -> None:
        shown = ids(service.recommend(user))
        happen(service, user, "skip", *shown[:10])
        after = service.recommend(user)
        assert {item["source"] for item in after["items"]} <= {"trending", "popular"}
        assert not set(shown[:10]) & set(ids(after))
        assert ids(after)[:3] != shown[:3]


class TestNewcomersWithInterests:
    def test_their_categories_come_first_and_the_rest_follows(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}", json={"interests": ["travel"]})
        found = everything(service, user, fields="categories")
        travel = [item["categories"] == ["travel"] for item in found]
        assert all(travel[:75])
        assert len(found) == 300
        service.client.put(f"/v1/users/{user}", json={"interests": ["music"]})
        assert service.recommend(user, fields="categories")["items"][0]["categories"] == ["music"]

    def test_a_category_that_is_asked_for_stays_the_only_one(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}", json={"interests": ["travel"]})
        answer = service.recommend(user, category=["music", "travel"], fields="categories", limit=100)
        named = [item["categories"][0] for item in answer["items"]]
        assert named == ["travel"] * 75 + ["music"] * 25


class TestWithoutRedis:
    def test_the_answer_is_of_the_bundle_alone_and_says_so(
        self, service: RunningService, redis_server: RedisProcess, user: str
    ) -> None:
        happen(service, user, "like", "v010")
        assert because(service.recommend(user)) == {"v010"}
        redis_server.kill()
        during = service.recommend(user)
        assert during["degraded"] == ["cache"]
        assert "als" not in {item["source"] for item in during["items"]}
        redis_server.start()
        wait_until(lambda: service.recommend(user)["degraded"] == [])


class TestErasure:
    def test_an_erased_user_is_unknown_to_the_bundle_that_holds_it(
        self, service: RunningService, elsewhere: RunningService
    ) -> None:
        user = "u033"
        happen(service, user, "like", "v010")
        assert {item["source"] for item in service.recommend(user)["items"]} == {"als"}
        neighbour = service.get(f"/v1/users/{user}/similar", limit=1)["users"][0]["id"]
        assert user in {each["id"] for each in service.get(f"/v1/users/{neighbour}/similar", limit=39)["users"]}
        assert service.client.delete(f"/v1/users/{user}").status_code in (200, 202)
        for each in (service, elsewhere):
            wait_until(lambda each=each: "als" not in {item["source"] for item in each.recommend(user)["items"]})
            assert each.get(f"/v1/users/{user}/similar")["degraded"] == ["new_user"]
            answer = each.get(f"/v1/users/{neighbour}/similar", limit=38)
            assert user not in {other["id"] for other in answer["users"]}
            assert len(answer["users"]) == 38
            assert user not in each.get("/v1/models")["example_users"]
        happen(service, user, "like", "v020")
        assert because(service.recommend(user)) == {"v020"}


class TestTheModelsCutOff:
    def test_events_that_the_model_was_trained_on_count_once(self, tmp_path: Path, redis_url: str, user: str) -> None:
        far = {f"{partition:03d}": "9999999999999-0" for partition in range(256)}
        service = RunningService(tmp_path, redis_url)
        service.publish(log_ends=far)
        with service:
            happen(service, user, "like", "v010")
            answer = service.recommend(user)
            assert "als" not in {item["source"] for item in answer["items"]}
            assert answer["degraded"] == []
            assert "v010" not in [item["id"] for item in everything(service, user)]

    def test_more_events_than_are_kept_are_said(self, service: RunningService, user: str) -> None:
        happen(service, user, "view", *(f"v{number:03}" for number in range(200)))
        assert service.recommend(user)["degraded"] == []
        happen(service, user, "view", "v210")
        assert service.recommend(user)["degraded"] == ["history"]
        version = service.publish(promote=False, log_ends={f"{p:03d}": "9999999999999-0" for p in range(256)})
        assert service.recommend(user, model=version)["degraded"] == []
