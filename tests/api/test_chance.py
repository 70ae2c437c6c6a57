"""Variants with chance in their lists, down to the log: two models interleaved, and places given to chance."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.api.experimenters import start
from tests.api.sending import event, send, stored
from tests.running import RunningService, ids, wait_until


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


@pytest.fixture
def other(service: RunningService) -> str:
    return service.publish(promote=False, seed=1)


def mixing(version: str) -> list[dict[str, Any]]:
    return [{"key": "mixed", "mode": "interleave", "teams": [None, version]}, {"key": "plain", "weight": 0}]


class TestInterleaving:
    def test_a_list_is_made_of_both_and_the_log_knows_the_team_of_each_item(
        self, service: RunningService, other: str, user: str, client: redis.Redis
    ) -> None:
        for number in range(3):
            send(service, event(user, item_id=f"v00{number}"))
        lists = {
            "a": ids(service.recommend(user, limit=20)),
            "b": ids(service.recommend(user, limit=20, model=other)),
        }
        start(service, "x", variants=mixing(other))
        answer = service.recommend(user, limit=20)
        assert answer["experiments"] == [{"experiment": "x", "variant": "mixed", "forced": False}]
        assert answer["degraded"] == []
        shown = ids(answer)
        assert len(set(shown)) == 20
        token = answer["recommendation_id"]
        send(service, *(event(user, type="impression", item_id=item, recommendation_id=token) for item in shown))
        logged = {found.item_id: found.team for found in stored(client, user) if found.type == "impression"}
        teams = [logged[item] for item in shown]
        assert abs(teams.count("a") - teams.count("b")) <= 1
        for team, whole in lists.items():
            of_team = [item for item in shown if logged[item] == team]
            assert of_team == [item for item in whole if item in of_team]
            assert set(of_team) <= set(whole)

    def test_pages_repeat_nothing_and_a_list_that_was_not_changed_stays(
        self, service: RunningService, other: str
    ) -> None:
        start(service, "x", variants=mixing(other))
        first = service.recommend("u001", limit=10)
        assert ids(service.recommend("u001", limit=10)) == ids(first)
        seen, cursor = ids(first), first["next_cursor"]
        for _ in range(4):
            page = service.recommend("u001", limit=10, cursor=cursor)
            seen += ids(page)
            cursor = page["next_cursor"]
        assert len(set(seen)) == len(seen) == 50

    def test_reasons_and_fields_are_those_of_the_items_model(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=mixing(other))
        for item in service.recommend("u001", fields="title")["items"]:
            assert item["title"] == f"Title of item {int(item['id'][1:])}"
            assert item["reason"]["type"] in {"because_of", "popular", "trending"}

    def test_the_whole_of_both_ends_in_the_end(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=mixing(other))
        seen: list[str] = []
        cursor = None
        for _ in range(5):
            page = service.recommend("u001", limit=100, **({"cursor": cursor} if cursor else {}))
            seen += ids(page)
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert cursor is None
        assert len(set(seen)) == len(seen) > 250
        assert "end_of_list" in page["degraded"]

    def test_where_the_champion_has_become_the_other_team_there_is_nothing_to_mix(
        self, service: RunningService, other: str
    ) -> None:
        start(service, "x", variants=mixing(other))
        service.post(f"/v1/models/{other}:activate")
        answer = service.recommend("u001")
        assert (answer["model_version"], answer["degraded"]) == (other, ["experiment"])

    def test_a_batch_with_distinct_items_keeps_to_them(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=mixing(other))
        body = {"requests": [{"user_id": f"u00{i}", "limit": 10} for i in range(3)], "distinct": True}
        shown = [item for answer in service.post("/v1/recommendations:batch", body)["results"] for item in ids(answer)]
        assert len(set(shown)) == len(shown) == 30


class TestExploration:
    def test_the_log_knows_the_propensity_of_every_item(
        self, service: RunningService, user: str, client: redis.Redis
    ) -> None:
        plain = ids(service.recommend(user, limit=100))
        start(service, "x", variants=[{"key": "some", "exploration": 0.3}, {"key": "none", "weight": 0}])
        changed = 0
        for number in range(10):
            answer = service.recommend(user, limit=10)
            shown = ids(answer)
            assert len(set(shown)) == 10
            assert set(shown) <= set(plain[:50])
            token = answer["recommendation_id"]
            send(service, *(event(user, type="impression", item_id=item, recommendation_id=token) for item in shown))
            logged = {
                found.item_id: found.propensity for found in stored(client, user) if found.recommendation_id == token
            }
            left = plain[:50]
            for item in shown:
                expected = 0.3 / len(left) + 0.7 * (item == left[0])
                assert logged[item] == pytest.approx(expected, rel=1e-3), number
                changed += item != left[0]
                left.remove(item)
        # 100 places, of which 0.3 × 0.98 are others: five standard deviations.
        assert 6 < changed < 53

    def test_pages_repeat_nothing(self, service: RunningService) -> None:
        start(service, "x", variants=[{"key": "some", "exploration": 0.5}, {"key": "none", "weight": 0}])
        page = service.recommend("u001", limit=30)
        seen = ids(page)
        for _ in range(4):
            page = service.recommend("u001", limit=30, cursor=page["next_cursor"])
            seen += ids(page)
        assert len(set(seen)) == len(seen) == 150

    def test_every_answer_is_drawn_anew(self, service: RunningService) -> None:
        start(service, "x", variants=[{"key": "some", "exploration": 0.5}, {"key": "none", "weight": 0}])
        assert len({tuple(ids(service.recommend("u001"))) for _ in range(5)}) > 1
        service.post("/v1/experiments/x:stop")
        wait_until(lambda: len({tuple(ids(service.recommend("u001"))) for _ in range(5)}) == 1)
