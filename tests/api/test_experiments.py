"""Experiments as resources: made, changed under a condition, started and stopped."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.api.experimenters import put, start
from tests.redis_process import RedisProcess
from tests.running import RunningService, wait_until


class TestDefine:
    def test_a_new_one_is_a_draft_and_is_read_back(self, service: RunningService) -> None:
        answer = put(service, "x", coverage=0.5)
        assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
        got = service.client.get("/v1/experiments/x")
        assert got.json() == answer.json()
        assert got.headers["etag"] == '"1"'
        assert (got.json()["state"], got.json()["coverage"], got.json()["read_only"]) == ("draft", 0.5, False)

    def test_what_was_answered_can_be_changed_and_sent_back(self, service: RunningService) -> None:
        body = put(service, "x").json()
        answer = service.client.put("/v1/experiments/x", json=body | {"coverage": 0.25})
        assert (answer.status_code, answer.json()["revision"], answer.json()["coverage"]) == (200, 2, 0.25)

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"variants": [{"key": "a"}]}, "#/variants"),
            ({"variants": [{"key": "a", "weight": -1}, {"key": "b"}]}, "#/variants/0/weight"),
            ({"key": "y"}, "#/key"),
            ({"covrage": 1}, "#/covrage"),
            ({"namespace": {"name": "n", "from": 0.5, "to": 0.2}}, "#/namespace"),
        ],
    )
    def test_what_is_wrong_has_a_pointer(self, service: RunningService, fields: dict[str, Any], pointer: str) -> None:
        refused = put(service, "x", **fields)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == pointer

    def test_too_few_variants_are_told_in_our_words(self, service: RunningService) -> None:
        answer = put(service, "x", variants=[{"key": "control"}])
        assert answer.json()["errors"] == [{"pointer": "#/variants", "detail": "has fewer than 2 entries"}]

    def test_a_misspelt_metric_is_refused_before_it_has_run(self, service: RunningService) -> None:
        for fields in ({"primary_metric": "clicks"}, {"guardrails": [{"metric": "hide"}]}):
            answer = put(service, "x", **fields)
            assert answer.status_code == 422
            assert "'ctr'" in answer.json()["errors"][0]["detail"]

    def test_a_key_that_is_none_is_refused(self, service: RunningService) -> None:
        assert put(service, "A:b").status_code == 422

    def test_all_are_listed_by_key(self, service: RunningService) -> None:
        put(service, "b")
        put(service, "a")
        assert [found["key"] for found in service.get("/v1/experiments")["experiments"]] == ["a", "b"]

    def test_an_unknown_one_is_404(self, service: RunningService) -> None:
        for method, path in [("GET", "x"), ("POST", "x:start"), ("DELETE", "x")]:
            refused = service.client.request(method, f"/v1/experiments/{path}")
            assert refused.status_code == 404, (method, path)
            assert refused.json()["type"] == "urn:recsvc:problem:experiment-unknown"


class TestConditions:
    def test_a_lost_update_is_409(self, service: RunningService) -> None:
        put(service, "x")
        assert put(service, "x", headers={"If-Match": '"1"'}, coverage=0.5).status_code == 200
        refused = put(service, "x", headers={"If-Match": '"1"'}, coverage=0.1)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:recsvc:problem:changed-meanwhile")
        assert service.get("/v1/experiments/x")["coverage"] == 0.5

    def test_who_read_the_one_before_does_not_change_a_new_one_of_the_same_key(self, service: RunningService) -> None:
        put(service, "x")
        put(service, "x", coverage=0.5)
        assert service.client.delete("/v1/experiments/x").status_code == 204
        assert put(service, "x").headers["ETag"] == '"3"'
        assert put(service, "x", headers={"If-Match": '"1"'}).status_code == 409

    def test_one_that_came_and_went_while_a_new_one_was_made_is_gone_on_from(self, service: RunningService) -> None:
        experiments = service._server.config.app._lean._state.service.experiments
        store = experiments._store

        class Slow:
            """A store in which somebody else makes and deletes the experiment before the first change."""

            max_experiments, get, audit = store.max_experiments, store.get, store.audit

            async def change(self, *change: Any) -> Any:
                experiments._store = store
                assert await asyncio.to_thread(lambda: put(service, "x").status_code) == 201
                assert await asyncio.to_thread(lambda: service.client.delete("/v1/experiments/x").status_code) == 204
                return await store.change(*change)

        experiments._store = Slow()
        assert put(service, "x").headers["ETag"] == '"2"'
        assert put(service, "x", headers={"If-Match": '"1"'}).status_code == 409

    def test_an_etag_that_is_none_is_told(self, service: RunningService) -> None:
        assert put(service, "x", headers={"If-Match": "W/abc"}).status_code == 422

    def test_of_those_who_read_the_same_one_changes_it(self, service: RunningService) -> None:
        put(service, "x")
        together = threading.Barrier(8)

        def change(number: int) -> int:
            together.wait()
            return put(service, "x", headers={"If-Match": '"1"'}, description=str(number)).status_code

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(change, range(8))) == [200] + [409] * 7
        assert service.get("/v1/experiments/x")["revision"] == 2

    def test_without_a_condition_every_change_is_counted(self, service: RunningService) -> None:
        put(service, "x")
        with ThreadPoolExecutor(3) as threads:
            statuses = set(threads.map(lambda i: put(service, "x", description=str(i)).status_code, range(6)))
        assert statuses <= {200, 409}
        assert service.get("/v1/experiments/x")["revision"] <= 7


class TestStates:
    def test_a_life(self, service: RunningService) -> None:
        running = start(service, "life")
        assert (running["state"], len(running["phases"])) == ("running", 1)
        assert put(service, "life", coverage=0.5).json()["phases"][0]["coverage"] == 0.5
        changed = put(service, "life", variants=[{"key": "control", "weight": 2}, {"key": "treatment"}]).json()
        assert [phase["ended_at"] is None for phase in changed["phases"]] == [False, True]
        assert service.post("/v1/experiments/life:stop")["state"] == "stopped"
        assert len(service.post("/v1/experiments/life:start")["phases"]) == 3
        service.post("/v1/experiments/life:stop")
        assert service.post("/v1/experiments/life:archive")["state"] == "archived"
        entries = service.get("/v1/experiments/life/audit")["entries"]
        assert [entry["action"] for entry in entries] == [
            *("put", "start", "put", "put", "stop", "start", "stop", "archive")
        ]
        assert entries[2]["changed"] == ["coverage", "phases"]

    def test_what_cannot_be_done_now_is_409(self, service: RunningService) -> None:
        start(service, "x")
        for method, path in [("POST", "x:start"), ("POST", "x:archive"), ("DELETE", "x")]:
            refused = service.client.request(method, f"/v1/experiments/{path}")
            assert (refused.status_code, refused.json()["type"]) == (409, "urn:recsvc:problem:experiment-state")

    def test_a_deleted_one_is_gone_and_its_audit_stays(self, service: RunningService) -> None:
        put(service, "gone")
        assert service.client.delete("/v1/experiments/gone").status_code == 204
        assert service.client.get("/v1/experiments/gone").status_code == 404
        assert service.get("/v1/experiments/gone/audit")["entries"][-1]["action"] == "delete"

    def test_an_experiment_whose_model_cannot_be_had_is_not_started(self, service: RunningService) -> None:
        put(service, "x", variants=[{"key": "a"}, {"key": "b", "model": "20200101T000000Z-abcdef"}])
        refused = service.client.post("/v1/experiments/x:start")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:recsvc:problem:experiment-model")
        assert "'b'" in refused.json()["detail"]
        assert service.get("/v1/experiments/x")["state"] == "draft"

    def test_no_more_than_a_token_can_carry_run(self, service: RunningService) -> None:
        for number in range(20):
            start(service, f"x{number}")
        put(service, "one-more")
        refused = service.client.post("/v1/experiments/one-more:start")
        assert refused.status_code == 409
        assert "20 experiments" in refused.json()["detail"]


def test_what_another_release_stored_is_left_out_and_not_changed(
    service: RunningService, redis_server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    start(service, "x")
    with redis.Redis.from_url(redis_server.url) as client:
        client.hset("{experiments}:definitions", "later", b'{"key": "later", "new": 1}')
        client.incr("{experiments}:version")
    wait_until(lambda: "later is not understood" in caplog.text)
    assert [found["key"] for found in service.get("/v1/experiments")["experiments"]] == ["x"]
    assert "experiments" in service.recommend("u001")
    refused = put(service, "later")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:recsvc:problem:experiment-state")


class TestPreview:
    def test_says_who_would_get_which_variant_and_why_not(self, service: RunningService) -> None:
        put(service, "x", coverage=0.5, forced={"qa": "treatment"}, holdout={"group": "g", "share": 0.2})
        users = [f"p{i}" for i in range(998)]
        preview = service.post("/v1/experiments/x:preview", {"user_ids": [*users, "qa"]})
        results = {found["user_id"]: found for found in preview["results"]}
        assert results["qa"] == {"user_id": "qa", "variant": "treatment", "forced": True, "left": None}
        assert {found["left"] for found in results.values()} == {None, "coverage", "holdout"}
        assert 300 < sum(preview["counts"].values()) < 500
        service.post("/v1/experiments/x:start")
        assert service.post("/v1/experiments/x:preview", {"user_ids": [*users, "qa"]}) == preview

    def test_knows_the_traits_of_the_users(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}", json={"attributes": {"country": "de"}})
        put(service, "x", targeting={"attributes": {"country": "de"}})
        results = service.post("/v1/experiments/x:preview", {"user_ids": [user, f"{user}-other"]})["results"]
        assert [found["left"] for found in results] == [None, "targeting"]


class TestEverywhere:
    def test_another_worker_follows_within_a_second(self, service: RunningService, elsewhere: RunningService) -> None:
        start(service, "x")
        wait_until(lambda: "experiments" in elsewhere.recommend("u001"), seconds=1.0)
        service.post("/v1/experiments/x:stop")
        wait_until(lambda: "experiments" not in elsewhere.recommend("u001"), seconds=1.0)

    def test_while_redis_is_away_the_last_known_go_on(
        self, service: RunningService, redis_server: RedisProcess
    ) -> None:
        start(service, "x")
        redis_server.kill()
        assert service.recommend("u001")["experiments"][0]["experiment"] == "x"
        assert service.get("/v1/experiments")["experiments"][0]["key"] == "x"
        refused = service.client.post("/v1/experiments/x:stop")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:recsvc:problem:not-ready")

    def test_those_of_the_file_run_and_are_changed_there_alone(self, tmp_path: Path, redis_url: str) -> None:
        path = tmp_path / "experiments.toml"
        path.write_text(
            '[[experiment]]\nkey = "filed"\nstate = "running"\nvariants = [{key = "a"}, {key = "b"}]\n'
            'phases = [{seed = "filed", started_at = 2026-11-01T00:00:00Z}]\n',
            "utf-8",
        )
        service = RunningService(tmp_path, redis_url, experiments_file=path)
        service.publish()
        with service:
            assert service.recommend("u001")["experiments"][0]["experiment"] == "filed"
            assert service.get("/v1/experiments/filed")["read_only"] is True
            refused = put(service, "filed")
            assert refused.status_code == 409
            assert "file" in refused.json()["detail"]


def test_the_scope_is_needed(tmp_path: Path, redis_url: str) -> None:
    reader, experimenter = "reader-0123456789", "experimenter-0123"
    keys = f"{reader}:read {experimenter}:experiments,read"
    service = RunningService(tmp_path, redis_url, api_keys=keys)
    service.publish()
    with service:
        as_reader, as_experimenter = ({"Authorization": f"Bearer {key}"} for key in (reader, experimenter))
        assert service.client.get("/v1/experiments", headers=as_reader).status_code == 403
        assert put(service, "x", headers=as_reader).status_code == 403
        assert put(service, "x", headers=as_experimenter).status_code == 201
        for parameter in ("variant", "assigned"):
            path = f"/v1/users/u001/recommendations?{parameter}=x:control"
            assert service.client.get(path, headers=as_reader).status_code == 403
        body = {"requests": [{"user_id": "u001"}, {"user_id": "u002", "variant": "x:control"}]}
        assert service.client.post("/v1/recommendations:batch", json=body, headers=as_reader).status_code == 403
        path = "/v1/users/u001/recommendations?variant=x:control"
        assert service.client.get(path, headers=as_experimenter).json()["experiments"][0]["forced"] is True
