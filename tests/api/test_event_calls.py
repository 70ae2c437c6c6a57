from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from recsvc.api.event_schemas import Event
from recsvc.eventlog.position import partition_of
from recsvc.settings import Settings
from recsvc.store.keys import log_key
from tests.api.sending import event, fresh, send, statuses, stored
from tests.redis_process import RedisProcess
from tests.running import RunningService

READER, SENDER = "reader-0123456789", "sender-0123456789"
ORIGIN = "https://app.example"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


class TestEnvelope:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "#/events"),
            ({"events": []}, "#/events"),
            ({"events": {}}, "#/events"),
            ({"events": [{}] * 1001}, "#/events"),
            ({"events": [{}], "source": "app"}, "#/source"),
            ({"events": [{}], "key": SENDER}, "#/key"),
            ([], "#"),
            ("text", "#"),
            (None, "#"),
        ],
    )
    def test_a_wrong_one_is_a_problem_of_the_whole_call(self, service: RunningService, body: Any, pointer: str) -> None:
        answer = service.client.post(
            "/v1/events", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]

    @pytest.mark.parametrize("body", [b"", b"{", b'{"events": [NaN]}', b"\xff", b'{"events": [1e999]}', b"[" * 100_000])
    def test_what_is_no_json_is_told_of_as_elsewhere(self, service: RunningService, body: bytes) -> None:
        answer = service.client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#"

    @pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/html", ""])
    def test_another_media_type_is_415(self, service: RunningService, media_type: str) -> None:
        answer = service.client.post("/v1/events", content=b"{}", headers={"Content-Type": media_type})
        assert answer.status_code == 415

    def test_media_types_that_are_json_count_as_json(self, service: RunningService) -> None:
        body = json.dumps({"events": [event(fresh("u"))]})
        for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json"):
            answer = service.client.post("/v1/events", content=body, headers={"Content-Type": media_type})
            assert answer.status_code == 202

    def test_an_event_full_of_unknown_fields_is_told_of_within_bounds(self, service: RunningService) -> None:
        [result] = send(service, {f"field-{n}": n for n in range(2000)})
        assert len(result["problem"]["errors"]) == 50


class TestRefusal:
    def refused(self, answer: httpx.Response) -> str:
        assert answer.status_code == 503, answer.text
        assert answer.json()["type"] == "urn:recsvc:problem:events-not-accepted"
        assert int(answer.headers["retry-after"]) >= 1
        detail: str = answer.json()["detail"]
        return detail

    def test_without_redis_the_whole_call_is_503_and_its_retry_goes_through(
        self, service: RunningService, redis_server: RedisProcess
    ) -> None:
        user = fresh("u")
        body = {"events": [event(user), {}, event(user)]}
        redis_server.kill()
        assert "store" in self.refused(service.client.post("/v1/events", json=body))
        assert service.metric('recsvc_events_total{outcome="refused"}') == 2
        redis_server.start()
        for _ in range(200):
            answer = service.client.post("/v1/events", json=body)
            if answer.status_code == 202:
                break
        assert statuses(answer.json()["results"]) == ["accepted", "rejected", "accepted"]

    def test_a_call_with_nothing_right_in_it_needs_no_redis(
        self, service: RunningService, redis_server: RedisProcess
    ) -> None:
        redis_server.kill()
        assert statuses(send(service, {}, 7)) == ["rejected", "rejected"]
        redis_server.start()

    def test_a_redis_that_is_too_slow_is_503_and_what_it_stored_is_a_duplicate_then(
        self, tmp_path: Path, redis_server: RedisProcess
    ) -> None:
        running = RunningService(tmp_path, redis_server.url, event_timeout_milliseconds=200)
        running.publish()
        with running:
            user = fresh("u")
            send(running, event(user))  # the script is loaded, a connection is there
            body = {"events": [event(user)]}
            redis_server.pause()
            self.refused(running.client.post("/v1/events", json=body))
            redis_server.resume()
            answer = running.client.post("/v1/events", json=body)
            while answer.status_code == 503:
                answer = running.client.post("/v1/events", json=body)
            # Sent before the time-out, carried out after it.
            assert statuses(answer.json()["results"]) == ["duplicate"]

    def test_a_full_stream_is_503_naming_the_worker_and_nothing_that_waits_is_dropped(
        self, tmp_path: Path, redis_url: str, redis: Redis
    ) -> None:
        running = RunningService(tmp_path, redis_url, max_unwritten_events=256)
        running.publish()
        with running:
            user = fresh("u")
            redis.delete(log_key(partition_of(user)))
            first, second = event(user), event(user)
            assert statuses(send(running, first)) == ["accepted"]
            detail = self.refused(running.client.post("/v1/events", json={"events": [second]}))
            assert "worker" in detail
            assert [each.event_id for each in stored(redis, user)] == [first["event_id"]]
            redis.delete(log_key(partition_of(user)))
            assert statuses(send(running, second)) == ["accepted"]


class TestKeys:
    @pytest.fixture
    def service(self, tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
        running = RunningService(tmp_path, redis_url, api_keys=f"{READER}:read {SENDER}:events", cors_origins=ORIGIN)
        running.publish()
        with running:
            yield running

    def beacon(self, service: RunningService, body: Any, **headers: str) -> httpx.Response:
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return service.client.post("/v1/events", content=content, headers={"Content-Type": "text/plain", **headers})

    @pytest.mark.parametrize(
        ("key", "status"), [(None, 401), ("unknown-0123456789", 401), (READER, 403), (SENDER, 202)]
    )
    def test_the_header_needs_the_scope_events(self, service: RunningService, key: str | None, status: int) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        answer = service.client.post("/v1/events", json={"events": [event(fresh("u"))]}, headers=headers)
        assert answer.status_code == status

    @pytest.mark.parametrize(
        ("member", "status"),
        [
            ({}, 401),
            ({"key": "unknown-0123456789"}, 401),
            ({"key": 7}, 401),
            ({"key": None}, 401),
            ({"key": "unknown-\ud800-\udcff-0123456789"}, 401),
            ({"key": READER}, 403),
            ({"key": SENDER}, 202),
        ],
    )
    def test_a_beacon_has_its_key_in_the_body(
        self, service: RunningService, member: dict[str, Any], status: int
    ) -> None:
        answer = self.beacon(service, {"events": [event(fresh("u"))], **member}, Origin=ORIGIN)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN

    def test_a_beacon_with_the_header_is_judged_by_the_header(self, service: RunningService) -> None:
        body = {"events": [event(fresh("u"))], "key": SENDER}
        assert self.beacon(service, body, Authorization=f"Bearer {READER}").status_code == 403

    def test_without_a_key_nothing_is_said_about_the_body(self, service: RunningService) -> None:
        for body in (b"{", b"[]", b"\xff", b"{}"):
            assert self.beacon(service, body).status_code == 401

    def test_the_key_is_checked_before_the_envelope(self, service: RunningService) -> None:
        assert self.beacon(service, {"key": SENDER}).status_code == 422
        assert self.beacon(service, {"key": READER}).status_code == 403

    def test_in_json_a_key_is_a_field_like_any_unknown_one(self, service: RunningService) -> None:
        body = {"events": [event(fresh("u"))], "key": SENDER}
        assert service.client.post("/v1/events", json=body).status_code == 401
        answer = service.client.post("/v1/events", json=body, headers={"Authorization": f"Bearer {SENDER}"})
        assert answer.json()["errors"][0]["pointer"] == "#/key"

    def test_the_key_comes_back_in_no_answer_and_no_log(
        self, service: RunningService, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        answers = [
            self.beacon(service, {"events": [event(fresh("u")), {}], "key": SENDER}),
            self.beacon(service, {"events": 1, "key": SENDER}),
            self.beacon(service, {"events": 1, "key": READER}),
            self.beacon(service, '{"key": "' + SENDER),
        ]
        said = "".join(answer.text for answer in answers) + caplog.text
        assert SENDER not in said
        assert READER not in said


class TestOrigins:
    def post(self, service: RunningService, origin: str, media_type: str) -> int:
        body = json.dumps({"events": [event(fresh("u"))]})
        headers = {"Content-Type": media_type, "Origin": origin}
        return service.client.post("/v1/events", content=body, headers=headers).status_code

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
    def test_without_keys_pages_of_other_origins_may_not_send(self, service: RunningService, media_type: str) -> None:
        assert self.post(service, "https://evil.example", media_type) == 403
        assert self.post(service, "null", media_type) == 403

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain;charset=UTF-8"])
    def test_the_services_own_page_may(self, service: RunningService, media_type: str) -> None:
        own = str(service.client.base_url).rstrip("/")
        assert self.post(service, own, media_type) == 202

    def test_a_beacons_key_is_ignored_where_none_is_needed(self, service: RunningService) -> None:
        body = json.dumps({"events": [event(fresh("u"))], "key": "anything"})
        answer = service.client.post("/v1/events", content=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 202


class TestDocumentation:
    def test_openapi_has_both_bodies_the_results_and_the_problems(self, service: RunningService) -> None:
        operation = service.get("/openapi.json")["paths"]["/v1/events"]["post"]
        bodies = operation["requestBody"]["content"]
        assert set(bodies) == {"application/json", "text/plain"}
        listed = bodies["application/json"]["schema"]["properties"]["events"]
        assert (listed["minItems"], listed["maxItems"]) == (1, 1000)
        assert set(listed["items"]["properties"]) == set(Event.model_fields)
        assert "$ref" not in json.dumps(bodies)
        assert {"202", "401", "403", "413", "415", "422", "503"} <= set(operation["responses"])
        assert operation["security"] == [{"HTTPBearer": []}]

    def test_its_example_is_accepted(self, service: RunningService) -> None:
        operation = service.get("/openapi.json")["paths"]["/v1/events"]["post"]
        [example] = operation["requestBody"]["content"]["application/json"]["schema"]["examples"]
        fresh_ids = [each | {"event_id": fresh("e")} for each in example["events"]]
        assert set(statuses(send(service, *fresh_ids))) == {"accepted"}

    def test_a_body_over_the_limit_is_413(self, tmp_path: Path, redis_url: str) -> None:
        running = RunningService(tmp_path, redis_url, max_body_bytes=2048)
        running.publish()
        with running:
            answer = running.client.post("/v1/events", json={"events": [event("u")] * 100})
            assert answer.status_code == 413


def test_the_default_limit_of_a_body_leaves_room_for_a_thousand_events() -> None:
    longest = {"events": [event("u" * 128, recommendation_id="r" * 120, session_id="s" * 36) for _ in range(1000)]}
    assert len(json.dumps(longest)) < Settings().max_body_bytes
