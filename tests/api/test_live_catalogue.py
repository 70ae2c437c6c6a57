"""Changes of items in lists: what is new is found, what is hidden is gone, also from what is cached."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from recsvc.bundle.types import Bundle
from tests.running import RunningService, ids, wait_until

LISTS = ("popular", "trending", "latest")


def put(service: RunningService, item: str, **fields: Any) -> None:
    assert service.client.put(f"/v1/items/{item}", json=fields).status_code in (200, 201)


def change(service: RunningService, item: str, **fields: Any) -> None:
    assert service.client.patch(f"/v1/items/{item}", json=fields).status_code == 200


def like(service: RunningService, user: str, *items: str) -> None:
    events = [{"event_id": secrets.token_hex(8), "type": "like", "user_id": user, "item_id": item} for item in items]
    assert service.client.post("/v1/events", json={"events": events}).status_code == 202


def session(service: RunningService, *items: str, **more: Any) -> Any:
    return service.post(
        "/v1/sessions/recommendations", {"events": [{"type": "like", "item_id": item} for item in items], **more}
    )


class TestNewInCachedLists:
    def test_an_old_list_is_computed_again_when_something_came(
        self, service: RunningService, tmp_path: Path, redis_url: str, user: str
    ) -> None:
        eager = RunningService(tmp_path / "eager", redis_url, new_items_seconds=0)
        eager.publish(version=service.registry.champion())
        put(service, "scout", categories=["music"], creator="creator-3")
        liked = ids(service.get("/v1/items/scout/similar", limit=3))
        change(service, "scout", hidden=True)
        with eager:
            for running in (service, eager):
                like(running, user, *liked)
                cached = ids(running.recommend(user, limit=100))
                new = f"new-{secrets.token_hex(4)}"
                put(running, new, categories=["music"], creator="creator-3")
                again = running.recommend(user, limit=100)
                if running is service:
                    assert ids(again) == cached
            assert next(item for item in again["items"] if item["id"] == new)["source"] == "content"

    def test_an_item_put_without_a_date_is_the_latest(self, service: RunningService) -> None:
        put(service, "dateless", categories=["music"])
        first = service.get("/v1/lists/latest", limit=1, fields="published_at")["items"][0]
        put(service, "dateless", categories=["sport"])
        again = service.get("/v1/lists/latest", limit=1, fields="published_at")["items"][0]
        assert first["id"] == again["id"] == "dateless"
        assert first["published_at"] == again["published_at"]


class TestHidden:
    @pytest.mark.parametrize(
        "how",
        [
            {"hidden": True},
            {"published_at": "2090-01-01T00:00:00Z"},  # not published yet
            {"expires_at": "2026-11-01T00:00:00Z"},
        ],
    )
    def test_an_item_is_gone_from_every_list_and_from_cached_ones(
        self, service: RunningService, user: str, how: dict[str, Any]
    ) -> None:
        like(service, user, "v010")
        shown = ids(service.recommend(user, limit=100))
        gone = shown[0]
        change(service, gone, **how)
        answer = service.recommend(user, limit=100)
        assert gone not in ids(answer)
        assert len(answer["items"]) == 100
        near = ids(service.get(f"/v1/items/{gone}/similar", limit=1))[0]
        assert gone not in ids(service.get(f"/v1/items/{near}/similar", limit=100))
        assert gone not in ids(session(service, "v010", limit=100))
        for name in LISTS:
            assert gone not in ids(service.get(f"/v1/lists/{name}", limit=100))
        batch = service.post("/v1/recommendations:batch", {"requests": [{"user_id": user, "limit": 100}]})
        assert gone not in ids(batch["results"][0])

    def test_a_cached_list_is_not_computed_again_for_it(self, service: RunningService) -> None:
        shown = ids(service.recommend("u003", limit=20))
        computed = service.metric("recsvc_compute_seconds_count")
        change(service, shown[4], hidden=True)
        assert ids(service.recommend("u003", limit=19)) == shown[:4] + shown[5:]
        assert service.metric("recsvc_compute_seconds_count") == computed

    def test_reasons_do_not_name_it(self, service: RunningService, user: str) -> None:
        like(service, user, "v010", "v011")
        change(service, "v010", title="A secret", hidden=True)
        for answer in (service.recommend(user, fields="title"), session(service, "v010", "v011", fields=["title"])):
            reasons = [item["reason"] for item in answer["items"]]
            assert {tuple(reason["items"]) for reason in reasons} in ({("v011",)}, {("v011",), ()})
        service.client.delete("/v1/items/v011")
        reasons = [item["reason"] for item in service.recommend(user)["items"]]
        assert all(reason == {"type": "because_of", "items": []} for reason in reasons)

    def test_newcomers_lose_it_too(self, service: RunningService, user: str) -> None:
        gone = ids(service.recommend(user))[0]
        change(service, gone, hidden=True)
        assert gone not in ids(service.recommend(user, limit=100))

    def test_every_process_knows_within_a_second(self, service: RunningService, elsewhere: RunningService) -> None:
        gone = ids(elsewhere.recommend("u004"))[0]
        change(service, gone, hidden=True)
        wait_until(lambda: gone not in ids(elsewhere.recommend("u004")), seconds=1.0)

    def test_a_page_that_hidden_items_would_shorten_is_filled(self, service: RunningService) -> None:
        shown = ids(service.recommend("u005", limit=100))
        for item in shown[:60]:
            change(service, item, hidden=True)
        answer = service.recommend("u005", limit=100)
        assert len(set(ids(answer))) == 100
        assert not set(ids(answer)) & set(shown[:60])

    def test_it_comes_back(self, service: RunningService, user: str) -> None:
        first = ids(service.get("/v1/lists/popular", limit=1))[0]
        change(service, first, hidden=True)
        assert ids(service.get("/v1/lists/popular", limit=1)) != [first]
        change(service, first, hidden=False)
        assert ids(service.get("/v1/lists/popular", limit=1)) == [first]

    def test_a_deleted_item_is_unknown_and_a_hidden_one_is_not(self, service: RunningService) -> None:
        change(service, "v010", hidden=True)
        assert len(service.get("/v1/items/v010/similar")["items"]) == 20
        service.client.delete("/v1/items/v010")
        assert service.client.get("/v1/items/v010/similar").status_code == 404
        assert "v010" not in ids(service.get("/v1/lists/popular", limit=100))


class TestNewItems:
    def test_the_latest_list_has_one_at_once(self, service: RunningService, elsewhere: RunningService) -> None:
        put(service, "fresh", categories=["music"], published_at="2026-11-22T05:00:00Z", title="Fresh")
        for category in ([], ["music"]):
            answer = service.get("/v1/lists/latest", category=category, fields="title,published_at")
            first = answer["items"][0]
            assert first == {
                "id": "fresh",
                "score": 1.0,
                "source": "latest",
                "reason": {"type": "latest", "category": "music"},
                "title": "Fresh",
                "published_at": "2026-11-22T05:00:00Z",
            }
        wait_until(lambda: ids(elsewhere.get("/v1/lists/latest", limit=1)) == ["fresh"], seconds=1.0)

    def test_one_is_recommended_by_its_content_to_who_would_like_it(
        self, service: RunningService, elsewhere: RunningService, bundle: Bundle, user: str
    ) -> None:
        put(service, "fresh", categories=["music"], creator="creator-3", title="Fresh")
        liked = ids(service.get("/v1/items/fresh/similar", limit=3))
        wait_until(lambda: "fresh" in ids(elsewhere.get("/v1/lists/popular", category="music", limit=100)))
        like(service, user, *liked)
        for each in (service, elsewhere, service):
            answer = each.recommend(user, limit=100, fields="title")
            (found,) = (item for item in answer["items"] if item["id"] == "fresh")
            assert found["source"] == "content"
            assert found["title"] == "Fresh"
            assert found["reason"]["type"] == "because_of"
            assert set(found["reason"]["items"]) <= set(liked)
        assert "fresh" in ids(session(service, *liked, limit=100))

    def test_liking_one_counts_and_explains(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        put(service, "fresh", categories=["sport"], creator="creator-1", title="Fresh")
        wait_until(lambda: elsewhere.client.get("/v1/items/fresh").status_code == 200)
        like(service, user, "fresh")
        for each in (service, elsewhere):
            answer = each.recommend(user, limit=10, fields="title")
            assert {item["source"] for item in answer["items"]} == {"als"}
            assert answer["items"][0]["reason"] == {"type": "because_of", "items": ["fresh"], "titles": ["Fresh"]}
            assert "fresh" not in ids(answer)
        assert session(service, "fresh")["unknown_items"] == []

    def test_an_event_before_the_item_counts_once_it_is_known(self, service: RunningService, user: str) -> None:
        like(service, user, "later")
        assert "als" not in {item["source"] for item in service.recommend(user)["items"]}
        put(service, "later", categories=["sport"])
        like(service, user, "also-unknown")
        assert "als" in {item["source"] for item in service.recommend(user)["items"]}

    def test_many_at_once_are_all_there_at_the_next_request(self, service: RunningService, user: str) -> None:
        names = [f"bulk-{number:03}" for number in range(600)]
        items = [{"item_id": name, "categories": ["bulk"]} for name in names]
        assert service.client.post("/v1/items:batch", json={"items": items}).status_code == 200
        found: list[str] = []
        answer = service.recommend(user, category="bulk", limit=100)
        while answer["items"]:
            found += ids(answer)
            if answer["next_cursor"] is None:
                break
            answer = service.recommend(user, category="bulk", limit=100, cursor=answer["next_cursor"])
        assert sorted(found) == names

    def test_similar_items_of_one_are_near_by_content(self, service: RunningService) -> None:
        put(service, "fresh", categories=["music"], creator="creator-3")
        put(service, "twin", categories=["music"], creator="creator-3")
        answer = service.get("/v1/items/fresh/similar", limit=5)
        assert answer["items"][0] == {
            "id": "twin",
            "score": pytest.approx(1.0, abs=1e-4),
            "source": "content",
            "reason": {"type": "because_of", "items": ["fresh"]},
        }
        assert {item["source"] for item in answer["items"][1:]} == {"als"}

    def test_one_of_which_nothing_is_known_has_popular_items_near_it(self, service: RunningService) -> None:
        put(service, "riddle", categories=["a new category"])
        put(service, "another", categories=["a new category"])
        answer = service.get("/v1/items/riddle/similar", limit=5)
        assert {item["source"] for item in answer["items"]} == {"popular"}
        assert answer["items"][0]["id"] == "another"
        assert answer["items"][0]["reason"] == {"type": "popular", "category": "a new category"}

    def test_a_category_that_no_model_knows_can_be_asked_for(self, service: RunningService, user: str) -> None:
        put(service, "fresh", categories=["gardens"])
        change(service, "v017", categories=["gardens"])
        found = [service.recommend(who, category="gardens") for who in (user, "u006")]
        for answer in found:
            assert set(ids(answer)) == {"fresh", "v017"}
            assert answer["degraded"] == ["filters"]
        assert service.recommend(user, category="gardens")["items"] == found[0]["items"]


class TestChangedItems:
    def test_fields_are_those_of_now(self, service: RunningService) -> None:
        first = ids(service.recommend("u007", limit=1))[0]
        change(service, first, title="Anew", creator="c9", categories=["boats"], published_at="2026-11-01T00:00:00Z")
        (item,) = service.recommend("u007", limit=1, fields="title,creator,categories,published_at")["items"]
        assert {name: item[name] for name in ("id", "title", "creator", "categories", "published_at")} == {
            "id": first,
            "title": "Anew",
            "creator": "c9",
            "categories": ["boats"],
            "published_at": "2026-11-01T00:00:00Z",
        }

    def test_categories_are_those_of_now(self, service: RunningService, user: str) -> None:
        (first, *_) = ids(service.get("/v1/lists/popular", category="music"))
        change(service, first, categories=["boats", "sport"])
        for who in (user, "u008"):
            assert first not in ids(service.recommend(who, category="music", limit=100))
        assert ids(service.get("/v1/lists/popular", category="boats")) == [first]
        assert first in ids(service.get("/v1/lists/popular", category="sport", limit=100))

    def test_a_date_that_changed_moves_it_in_the_latest_list(self, service: RunningService) -> None:
        first, second, *_, last = ids(service.get("/v1/lists/latest", limit=100))
        change(service, last, published_at="2026-11-20T00:00:00Z")
        assert ids(service.get("/v1/lists/latest", limit=3)) == [last, first, second]

    def test_quality_scales_scores_in_cached_lists_too(self, service: RunningService, user: str) -> None:
        like(service, user, "v010")
        before = {item["id"]: item["score"] for item in service.recommend(user, limit=100)["items"]}
        best = next(iter(before))
        change(service, best, quality=0.5)
        after = service.recommend(user, limit=100)["items"]
        (found,) = (item["score"] for item in after if item["id"] == best)
        assert found == pytest.approx(before[best] / 2, rel=1e-3)
        als = [item["score"] for item in after if item["source"] == "als"]
        assert als == sorted(als, reverse=True)
        assert after[0]["id"] != best

    def test_an_item_without_quality_is_last_among_its_own(self, service: RunningService) -> None:
        first = ids(service.get("/v1/lists/popular", limit=1))[0]
        change(service, first, quality=0)
        everything = [
            item
            for category in ("cooking", "music", "sport", "travel")
            for item in ids(service.get("/v1/lists/popular", category=category, limit=100))
        ]
        assert first in everything
        assert first not in ids(service.get("/v1/lists/popular", limit=100))
