"""Answers kept and sent again: the same as the route's, and gone as soon as anything they depend on changed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from recsvc.api.lean import ROUTE
from recsvc.serving.recommender import Recommender
from recsvc.store.errors import StoreUnavailable
from tests.api.experimenters import start
from tests.redis_process import RedisProcess
from tests.running import RunningService, ids, wait_until

COMPUTED = "recsvc_compute_seconds_count"
ANSWERED = f'recsvc_requests_total{{method="GET",route="{ROUTE}",status="200"}}'


def like(service: RunningService, user: str, item: str) -> None:
    event = {"event_id": f"{user}-{item}-{time.monotonic_ns()}", "type": "like", "user_id": user, "item_id": item}
    assert service.client.post("/v1/events", json={"events": [event]}).status_code == 202


def kept(service: RunningService, user: str = "u001", **parameters: Any) -> Any:
    """An answer that came out of memory; the one before, that went in, is checked to be the same."""
    routed = service.recommend(user, **parameters)
    with patch.object(Recommender, "recommend", side_effect=AssertionError("the answer was not kept")):
        again = service.recommend(user, **parameters)
    assert_same(routed, again)
    return again


def assert_same(first: Any, second: Any) -> None:
    assert first.pop("recommendation_id") != second["recommendation_id"]
    assert first == {name: value for name, value in second.items() if name != "recommendation_id"}
    assert list(second) == ["user_id", "recommendation_id", *list(second)[2:]]


def lists_computed(service: RunningService) -> float:
    """How many lists were computed: those that neither a memory nor Redis had."""
    return service.metric(COMPUTED)


class TestTheSame:
    @pytest.mark.parametrize(
        "parameters",
        [{}, {"limit": 1}, {"limit": 100}, {"category": "c0"}, {"fields": "title,creator"}, {"exclude": "v001"}],
        ids=str,
    )
    def test_kept_answers_are_the_routes_but_for_the_token(
        self, service: RunningService, parameters: dict[str, Any]
    ) -> None:
        kept(service, **parameters)

    def test_the_headers_are_the_same_too(self, service: RunningService) -> None:
        path = "/v1/users/u001/recommendations"
        routed, again = (service.client.get(path, headers={"X-Request-Id": "mine-1"}) for _ in range(2))
        assert {name: value for name, value in routed.headers.items() if name != "date"} == {
            name: value for name, value in again.headers.items() if name != "date"
        }
        assert again.headers["x-request-id"] == "mine-1"

    def test_a_request_id_that_no_log_can_hold_is_replaced(self, service: RunningService) -> None:
        path = "/v1/users/u001/recommendations"
        answers = [service.client.get(path, headers={"X-Request-Id": "a b"}) for _ in range(2)]
        assert all(re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"]) for answer in answers)

    @pytest.mark.parametrize("sent", [("mine-1", "mine-2"), ("mine-1", "a b"), ("a b", "mine-1")], ids=str)
    def test_of_several_request_ids_the_first_good_one_counts(
        self, service: RunningService, sent: tuple[str, str]
    ) -> None:
        headers = [("X-Request-Id", value) for value in sent]
        answers = [service.client.get("/v1/users/u001/recommendations", headers=headers) for _ in range(2)]
        assert [answer.headers["x-request-id"] for answer in answers] == ["mine-1", "mine-1"]

    def test_newcomers_are_kept_too(self, service: RunningService) -> None:
        kept(service, "nobody-knows-me")

    def test_ids_that_look_like_json_do_no_harm(self, service: RunningService) -> None:
        name = 'x","recommendation_id":"r1.forged","y":"'
        first, second = (service.client.get(f"/v1/users/{_quoted(name)}/recommendations").json() for _ in range(2))
        assert first["user_id"] == second["user_id"] == name
        assert_same(first, second)

    def test_each_page_of_a_list_is_kept(self, service: RunningService) -> None:
        first = kept(service, limit=5)
        second = kept(service, limit=5, cursor=first["next_cursor"])
        assert not set(ids(first)) & set(ids(second))

    def test_they_are_counted_as_hits_of_the_route(self, service: RunningService) -> None:
        service.recommend("u001")
        hits, answered = service.metric('recsvc_cache_total{outcome="hit"}'), service.metric(ANSWERED)
        for _ in range(5):
            service.recommend("u001")
        assert service.metric('recsvc_cache_total{outcome="hit"}') == hits + 5
        assert service.metric(ANSWERED) == answered + 5


class TestGoneWhen:
    def test_the_user_did_something(self, service: RunningService) -> None:
        shown = ids(kept(service))
        like(service, "u001", shown[0])
        assert shown[0] not in ids(service.recommend("u001"))

    def test_the_user_did_something_elsewhere(self, service: RunningService, elsewhere: RunningService) -> None:
        shown = ids(kept(service))
        like(elsewhere, "u001", shown[0])
        assert shown[0] not in ids(service.recommend("u001"))

    def test_an_item_of_it_is_hidden(self, service: RunningService) -> None:
        shown = ids(kept(service))
        service.client.patch(f"/v1/items/{shown[3]}", json={"hidden": True}).raise_for_status()
        assert shown[3] not in ids(service.recommend("u001"))

    def test_an_item_of_it_expires(self, service: RunningService) -> None:
        shown = ids(kept(service))
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
        service.client.patch(f"/v1/items/{shown[3]}", json={"expires_at": until}).raise_for_status()
        assert shown[3] in ids(kept(service))
        wait_until(lambda: shown[3] not in ids(service.recommend("u001")))

    def test_another_model_is_promoted(self, service: RunningService) -> None:
        kept(service)
        version = service.publish(seed=5)
        wait_until(lambda: service.recommend("u001")["model_version"] == version)
        assert kept(service)["model_version"] == version

    def test_the_user_is_erased(self, service: RunningService) -> None:
        personal = kept(service)
        service.client.delete("/v1/users/u001").raise_for_status()
        assert service.recommend("u001")["items"] != personal["items"]

    def test_the_user_is_merged_into_another(self, service: RunningService) -> None:
        kept(service, "anon")
        service.client.post("/v1/users/u002:merge", json={"from": "anon"}).raise_for_status()
        assert ids(service.recommend("anon")) == ids(service.recommend("u002"))

    def test_redis_is_away(self, service: RunningService, redis_server: RedisProcess) -> None:
        shown = ids(kept(service))
        redis_server.kill()
        answer = service.recommend("u001")
        assert (ids(answer), answer["degraded"]) == (shown, ["cache"])

    def test_it_is_too_old(self, tmp_path: Path, redis_url: str) -> None:
        running = RunningService(tmp_path, redis_url, cache_ttl_seconds=1)
        running.publish()
        with running:
            kept(running)
            computed = lists_computed(running)
            wait_until(lambda: running.recommend("u001") and lists_computed(running) > computed)


class TestNotKept:
    """What changes while an answer is being made: the answer goes out, and is not given again."""

    def test_another_model_is_promoted(self, service: RunningService) -> None:
        promoted: list[str] = []

        async def promote() -> None:
            promoted.append(await asyncio.to_thread(service.publish, seed=5))
            await asyncio.to_thread(wait_until, lambda: inside(service).pool.active.version == promoted[0])

        before_the_end(service, promote)
        assert service.recommend("u001")["model_version"] != service.recommend("u001")["model_version"] == promoted[0]

    def test_the_experiment_stops(self, service: RunningService) -> None:
        start(service, "x")

        async def stop() -> None:
            await asyncio.to_thread(service.post, "/v1/experiments/x:stop")

        before_the_end(service, stop)
        assert "experiments" in service.recommend("u001")
        assert "experiments" not in service.recommend("u001")

    def test_an_item_is_hidden(self, service: RunningService) -> None:
        shown = ids(service.recommend("u002", limit=3)), ids(service.recommend("u001", limit=3))

        async def hide() -> None:
            await asyncio.to_thread(service.client.patch, f"/v1/items/{shown[1][0]}", json={"hidden": True})
            await asyncio.to_thread(service.recommend, "u002")  # which takes the change in

        before_the_end(service, hide)
        assert shown[1][0] in ids(service.recommend("u001"))
        assert shown[1][0] not in ids(service.recommend("u001"))

    def test_the_user_resource_brings_the_user_into_an_experiment(self, service: RunningService, user: str) -> None:
        start(service, "x", targeting={"attributes": {"country": "DE"}})
        experimenting = inside(service).experimenting
        real = experimenting._traits_of

        async def outdated(user_id: str) -> Any:
            experimenting._traits_of = real
            traits = await real(user_id)
            body = {"attributes": {"country": "DE"}}
            await asyncio.to_thread(service.client.put, f"/v1/users/{user_id}", json=body)
            return traits

        experimenting._traits_of = outdated
        assert "experiments" not in service.recommend(user)
        assert "experiments" in kept(service, user)

    def test_the_user_resource_could_not_be_read(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}", json={"attributes": {"country": "DE"}}).raise_for_status()
        start(service, "x", targeting={"attributes": {"country": "DE"}})
        experimenting = inside(service).experimenting
        real = experimenting._traits_of

        async def away(user_id: str) -> Any:
            experimenting._traits_of = real
            raise StoreUnavailable(user_id)

        experimenting._traits_of = away
        assert "experiments" not in service.recommend(user)
        assert "experiments" in kept(service, user)


class TestStays:
    def test_when_an_item_changes_that_it_does_not_name(self, service: RunningService) -> None:
        shown = ids(kept(service, limit=100))
        others = sorted({f"v{number:03}" for number in range(120)} - set(shown))
        computed = lists_computed(service)
        service.client.patch(f"/v1/items/{others[0]}", json={"hidden": True}).raise_for_status()
        assert ids(service.recommend("u001", limit=100)) == shown
        assert lists_computed(service) == computed


class TestKeys:
    KEYS = "reader-0123456789abcdef:read writer-0123456789abcdef:events"

    @pytest.fixture
    def guarded(self, tmp_path: Path, redis_url: str) -> Any:
        running = RunningService(tmp_path, redis_url, api_keys=self.KEYS)
        running.publish()
        with running:
            yield running

    def test_a_kept_answer_is_given_to_nobody_without_a_key(self, guarded: RunningService) -> None:
        path = "/v1/users/u001/recommendations"
        reader = {"Authorization": "Bearer reader-0123456789abcdef"}
        assert [guarded.client.get(path, headers=reader).status_code for _ in range(2)] == [200, 200]
        assert guarded.client.get(path).status_code == 401
        assert guarded.client.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 401
        writer = {"Authorization": "Bearer writer-0123456789abcdef"}
        assert guarded.client.get(path, headers=writer).status_code == 403

    def test_of_two_keys_the_first_counts_as_it_does_for_the_route(self, guarded: RunningService) -> None:
        path = "/v1/users/u001/recommendations"
        good = ("Authorization", "Bearer reader-0123456789abcdef")
        bad = ("Authorization", "Bearer nonsense")
        assert [guarded.client.get(path, headers=[good, bad]).status_code for _ in range(3)] == [200] * 3
        assert guarded.client.get(path, headers=[bad, good]).status_code == 401


class TestMemory:
    def test_none_are_kept_where_none_shall_be(self, tmp_path: Path, redis_url: str) -> None:
        running = RunningService(tmp_path, redis_url, kept_answers_megabytes=0)
        running.publish()
        with running:
            first, second = running.recommend("u001"), running.recommend("u001")
            assert_same(first, second)
            assert inside(running).kept.get(b"/v1/users/u001/recommendations?", 0) is None

    def test_the_longest_unused_go_first_when_memory_is_full(self, tmp_path: Path, redis_url: str) -> None:
        running = RunningService(tmp_path, redis_url, kept_answers_megabytes=1)
        running.publish()
        with running:
            for number in range(150):
                running.recommend(f"new{number}", limit=100)
                running.recommend("new0", limit=100)
            there = [
                inside(running).kept.get(f"/v1/users/new{number}/recommendations?limit=100".encode(), time.time())
                for number in range(150)
            ]
        assert there[0] is not None  # asked for all the time
        assert there[1] is None
        assert there[149] is not None
        assert sum(len(kept.before_token + kept.after_token) for kept in there if kept is not None) < 1_000_000


def inside(service: RunningService) -> Any:
    """The parts of a service of this process."""
    return service._server.config.app._lean._state.service


def before_the_end(service: RunningService, change: Callable[[], Awaitable[None]]) -> None:
    """Has the change happen once the next list is there, before it is answered."""
    recommender = inside(service).recommender
    real = recommender.recommend

    async def recommend(*asked: Any) -> Any:
        recommender.recommend = real
        answer = await real(*asked)
        await change()
        return answer

    recommender.recommend = recommend


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")
