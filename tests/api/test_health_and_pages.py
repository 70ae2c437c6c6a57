"""Readiness, metrics, the documentation and the demo page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

from tests.redis_process import RedisProcess
from tests.running import RunningService, wait_until

READER = "reader-key-0123456789"
ADMIN = "admin-key-0123456789"
READING = ["/v1/users/u/recommendations", "/v1/users/u/similar", "/v1/items/v001/similar", "/v1/lists/popular"]


@pytest.fixture
def guarded(tmp_path: Path, redis_url: str) -> RunningService:
    running = RunningService(tmp_path, redis_url, api_keys=f"{READER}:read {ADMIN}:admin")
    running.publish()
    return running


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_ready_names_the_weaker_promises_of_redis(service: RunningService) -> None:
    ready = service.get("/readyz")
    assert ready["status"] == "ready"
    assert any("appendonly" in promise for promise in ready["checks"]["redis"]["weaker_promises"])


def test_ready_without_redis_but_degraded(service: RunningService, redis_server: RedisProcess) -> None:
    redis_server.kill()
    ready = service.get("/readyz")
    assert ready["status"] == "ready"
    assert ready["checks"]["redis"]["status"] == "degraded"
    redis_server.start()
    wait_until(lambda: service.get("/readyz")["checks"]["redis"]["status"] == "ok")


def test_what_was_erased_or_hidden_must_be_known_before_anything_is_answered(
    tmp_path: Path, redis_server: RedisProcess
) -> None:
    running = RunningService(tmp_path, redis_server.url)
    running.publish()
    redis_server.kill()
    with running:
        ready = running.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["live_data"]["status"] == "failed"
        batch = {"requests": [{"user_id": "u001"}]}
        session = {"events": [{"type": "like", "item_id": "v001"}]}
        for answer in (
            *(running.client.get(path) for path in READING),
            running.client.get("/v1/items/v001"),
            running.client.post("/v1/recommendations:batch", json=batch),
            running.client.post("/v1/sessions/recommendations", json=session),
        ):
            assert answer.status_code == 503, answer.url
            assert answer.json()["type"] == "urn:recsvc:problem:not-ready"
            assert int(answer.headers["Retry-After"]) > 0
        assert running.get("/v1/models")["example_users"] == []
        redis_server.start()
        wait_until(lambda: running.client.get("/readyz").status_code == 200)
        assert running.recommend("u001")["items"]
    redis_server.kill()
    with running:
        assert running.get("/readyz")["checks"]["live_data"]["status"] == "degraded"
        assert running.recommend("u001")["degraded"] == ["cache"]


@pytest.mark.parametrize("why", ["full", "replica"])
def test_a_redis_that_takes_no_writes_is_degraded(service: RunningService, redis_url: str, why: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        try:
            if why == "full":
                client.config_set("maxmemory", "1mb")
            else:
                client.replicaof("127.0.0.1", 1)
            check = service.get("/readyz")["checks"]["redis"]
        finally:
            client.config_set("maxmemory", 0)
            client.replicaof("NO", "ONE")
    assert check["status"] == "degraded"
    assert why in check["detail"]
    assert service.get("/readyz")["checks"]["redis"]["status"] == "ok"


def test_scopes_guard_every_resource(guarded: RunningService) -> None:
    with guarded:
        client = guarded.client
        for path in [*READING, "/v1/models", "/metrics"]:
            assert client.get(path).status_code == 401, path
            assert client.get(path, headers=bearer(READER)).status_code == 200, path
        for path in ["/v1/recommendations:batch", "/v1/sessions/recommendations"]:
            assert client.post(path, json={}).status_code == 401, path
            assert client.post(path, json={}, headers=bearer(READER)).status_code == 422, path
        for path in ["/v1/models/x:activate", "/v1/models:rollback"]:
            assert client.post(path).status_code == 401, path
            assert client.post(path, headers=bearer(READER)).status_code == 403, path
        assert client.post("/v1/models/x:activate", headers=bearer(ADMIN)).status_code == 404
        for path in ["/", "/web/feed.js", "/healthz", "/readyz", "/docs", "/openapi.json"]:
            assert client.get(path).status_code == 200, path


def test_openapi_documents_problems_and_examples(service: RunningService) -> None:
    document = service.get("/openapi.json")
    assert document["info"]["title"] == "recsvc"
    recommend = document["paths"]["/v1/users/{user_id}/recommendations"]["get"]
    assert {"200", "401", "403", "409", "422", "503"} <= set(recommend["responses"])
    assert "application/problem+json" in recommend["responses"]["422"]["content"]
    assert document["components"]["schemas"]["Recommendations"]["examples"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_answers_are_what_the_documentation_says(service: RunningService) -> None:
    from recsvc.api import schemas

    batch = {"requests": [{"user_id": "u001"}, {"user_id": ""}]}
    session = {"events": [{"type": "like", "item_id": "v001"}]}
    schemas.Recommendations.model_validate(service.recommend("u001", fields="title,published_at"), strict=False)
    schemas.BatchAnswer.model_validate(service.post("/v1/recommendations:batch", batch))
    schemas.SessionRecommendations.model_validate(service.post("/v1/sessions/recommendations", session))
    schemas.SimilarItems.model_validate(service.get("/v1/items/v001/similar"))
    schemas.SimilarUsers.model_validate(service.get("/v1/users/u001/similar"))
    schemas.EverybodysList.model_validate(service.get("/v1/lists/latest"))


def test_documentation_needs_nothing_from_elsewhere(service: RunningService) -> None:
    page = service.client.get("/docs").text
    assert "https://" not in page
    for asset in re.findall(r'(?:href|src)="(/[^"]+)"', page):
        assert service.client.get(asset).status_code == 200


def test_demo_page_needs_nothing_from_elsewhere_and_runs_no_inline_code(service: RunningService) -> None:
    page = service.client.get("/")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assets = re.findall(r'(?:href|src)="(/web/[^"]+)"', page.text)
    assert len(assets) == 2
    for asset in assets:
        assert service.client.get(asset).status_code == 200
    script = service.client.get("/web/feed.js").text
    assert "innerHTML" not in script
    assert not re.search(r"<script>|<style|\son\w+=", page.text)


def test_demo_page_knows_every_kind_of_degradation(service: RunningService) -> None:
    from recsvc.serving.degraded import Degraded

    script = service.client.get("/web/feed.js").text
    assert all(f"{part.value}:" in script for part in Degraded)
