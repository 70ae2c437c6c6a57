from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from recsvc.eventlog.event import LogEvent
from recsvc.events.schema import EVENT_TYPES
from recsvc.tokens import TokenSigner, load_or_create_key
from tests.api.sending import event, fresh, send, statuses, stored
from tests.running import RunningService


def pointers(result: Any) -> list[str]:
    assert result["status"] == "rejected"
    assert result["problem"]["type"] == "urn:recsvc:problem:invalid-request"
    assert result["problem"]["status"] == 422
    return [error["pointer"] for error in result["problem"]["errors"]]


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


def ago(**difference: float) -> str:
    return (datetime.now(UTC) - timedelta(**difference)).isoformat().replace("+00:00", "Z")


class TestResults:
    def test_each_event_has_its_result_in_its_place(self, service: RunningService) -> None:
        first, second = event(fresh("u")), event(fresh("u"))
        results = send(service, first, {"type": "like"}, second, first, "no object", first | {"user_id": fresh("u")})
        assert statuses(results) == ["accepted", "rejected", "accepted", "duplicate", "rejected", "accepted"]
        assert [result["event_id"] for result in results[:4]] == [
            first["event_id"],
            None,
            *[second["event_id"]],
            first["event_id"],
        ]

    def test_a_call_that_is_sent_again_yields_duplicates_and_stores_nothing_twice(
        self, service: RunningService, redis: Redis
    ) -> None:
        user = fresh("u")
        events = [event(user) for _ in range(5)]
        assert set(statuses(send(service, *events))) == {"accepted"}
        assert set(statuses(send(service, *reversed(events)))) == {"duplicate"}
        assert [each.event_id for each in stored(redis, user)] == [each["event_id"] for each in events]

    def test_a_thousand_events_of_many_users_in_one_call(self, service: RunningService) -> None:
        users = [fresh("u") for _ in range(40)]
        assert set(statuses(send(service, *(event(users[n % 40]) for n in range(1000))))) == {"accepted"}

    def test_every_type_is_accepted(self, service: RunningService) -> None:
        user = fresh("u")
        assert set(statuses(send(service, *(event(user, type=kind) for kind in EVENT_TYPES)))) == {"accepted"}

    def test_unknown_items_and_users_are_accepted(self, service: RunningService) -> None:
        assert statuses(send(service, event(fresh("nobody"), item_id=fresh("nothing")))) == ["accepted"]

    def test_ids_may_be_anything_printable(self, service: RunningService, redis: Redis) -> None:
        user = fresh("ünïcode :{}/%")
        assert statuses(send(service, event(user, item_id="видео/1", event_id="é" * 128))) == ["accepted"]
        [logged] = stored(redis, user)
        assert (logged.item_id, logged.event_id) == ("видео/1", "é" * 128)


class TestFields:
    def test_the_log_keeps_what_was_sent(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        sent = event(
            user, type="survey", item_id=None, value=-3.125, session_id="s1", timestamp="2026-01-02T03:04:05.25+02:00"
        )
        send(service, sent)
        [logged] = stored(redis, user)
        assert logged == LogEvent(
            sent["event_id"],
            "survey",
            user,
            datetime(2026, 1, 2, 1, 4, 5, 250_000, tzinfo=UTC).timestamp(),
            value=-3.125,
            session_id="s1",
        )

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"event_id": None}, "event_id"),
            ({"event_id": ""}, "event_id"),
            ({"event_id": 7}, "event_id"),
            ({"event_id": "x" * 129}, "event_id"),
            ({"user_id": None}, "user_id"),
            ({"user_id": "a\nb"}, "user_id"),
            ({"type": None}, "type"),
            ({"type": "merge"}, "type"),
            ({"type": ["like"]}, "type"),
            ({"item_id": None}, "item_id"),
            ({"item_id": ""}, "item_id"),
            ({"type": "not_interested", "item_id": None}, "item_id"),
            ({"timestamp": "yesterday"}, "timestamp"),
            ({"timestamp": "2026-11-22"}, "timestamp"),
            ({"timestamp": "2026-11-22T05:00:00"}, "timestamp"),
            ({"timestamp": 1_795_000_000}, "timestamp"),
            ({"timestamp": "1999-12-31T23:59:59Z"}, "timestamp"),
            ({"timestamp": "9999-12-31T23:59:59Z"}, "timestamp"),
            ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
            ({"value": "0.5"}, "value"),
            ({"value": True}, "value"),
            ({"value": 1_000_001}, "value"),
            ({"value": 10**400}, "value"),
            ({"type": "view", "value": 1.01}, "value"),
            ({"type": "finish", "value": -0.01}, "value"),
            ({"target": {"type": "item", "id": "v1"}}, "target"),
            ({"type": "not_interested", "target": {"type": "album", "id": "a"}}, "target/type"),
            ({"type": "not_interested", "target": {"type": "topic"}}, "target/id"),
            ({"type": "not_interested", "target": {"type": "topic", "id": "t", "x": 1}}, "target/x"),
            ({"type": "not_interested", "target": {"type": "item", "id": "v002"}}, "item_id"),
            ({"recommendation_id": "r" * 4097}, "recommendation_id"),
            ({"position": -1}, "position"),
            ({"position": 32768}, "position"),
            ({"position": 1.5}, "position"),
            ({"source": "A b"}, "source"),
            ({"session_id": ""}, "session_id"),
            ({"itemid": "v1"}, "itemid"),
            ({"a/b~c": 1}, "a~1b~0c"),
        ],
    )
    def test_what_is_wrong_is_pointed_to_and_the_others_go_on(
        self, service: RunningService, changes: dict[str, Any], pointer: str
    ) -> None:
        user = fresh("u")
        results = send(service, event(user), event(user, **changes) | {}, event(user))
        assert statuses(results) == ["accepted", "rejected", "accepted"]
        assert pointers(results[1]) == [f"#/events/1/{pointer}"]
        assert results[1]["problem"]["detail"].startswith(f"#/events/1/{pointer}: ")

    def test_a_lone_surrogate_is_one_events_mistake(self, service: RunningService) -> None:
        user = fresh("u")
        good = json.dumps(event(user))
        body = f'{{"events": [{good}, {json.dumps(event(user, event_id="e" + chr(0xD800)))}]}}'
        answer = service.client.post("/v1/events", content=body, headers={"Content-Type": "application/json"})
        results = answer.json()["results"]
        assert statuses(results) == ["accepted", "rejected"]
        assert results[1]["event_id"] is None
        assert pointers(results[1]) == ["#/events/1/event_id"]

    def test_values_within_the_range_are_kept_exactly(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        values = [0.1, 1e6, -1e6, 1e-300, 3]
        send(service, *(event(user, type="like", value=value) for value in values))
        assert [each.value for each in stored(redis, user)] == values

    def test_a_target_that_is_an_item_is_the_item(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        target = {"type": "item", "id": "v009"}
        send(service, event(user, type="not_interested", item_id=None, target=target))
        [logged] = stored(redis, user)
        assert (logged.item_id, logged.target_type) == ("v009", "item")

    @pytest.mark.parametrize("kind", ["creator", "topic"])
    def test_a_target_needs_no_item(self, service: RunningService, redis: Redis, kind: str) -> None:
        user = fresh("u")
        target = {"type": kind, "id": "x: y"}
        assert statuses(send(service, event(user, type="not_interested", item_id=None, target=target))) == ["accepted"]
        [logged] = stored(redis, user)
        assert (logged.item_id, logged.target_type, logged.target_id) == (None, kind, "x: y")


class TestTimes:
    def test_without_a_time_the_receipt_counts(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        before = datetime.now(UTC).timestamp()
        send(service, event(user))
        [logged] = stored(redis, user)
        assert before - 0.001 <= logged.timestamp <= datetime.now(UTC).timestamp()
        assert logged.sent_timestamp is None

    def test_a_clock_that_is_ahead_is_set_right(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        send(service, event(user, timestamp=ago(hours=-23)))
        [logged] = stored(redis, user)
        now = datetime.now(UTC).timestamp()
        assert logged.timestamp <= now
        assert logged.sent_timestamp is not None
        assert logged.sent_timestamp > now + 22 * 3600

    def test_a_clock_that_is_wrong_is_refused(self, service: RunningService) -> None:
        [result] = send(service, event(fresh("u"), timestamp=ago(hours=-25)))
        assert pointers(result) == ["#/events/0/timestamp"]

    def test_old_events_are_accepted_for_the_log_alone(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        assert statuses(send(service, event(user, timestamp=ago(days=31)))) == ["accepted"]
        assert len(stored(redis, user)) == 1
        assert redis.keys(f"*:recent:{user}") == []


class TestAttribution:
    def outcomes(self, service: RunningService) -> tuple[float, float]:
        return (
            service.metric('recsvc_attribution_total{outcome="valid"}'),
            service.metric('recsvc_attribution_total{outcome="invalid"}'),
        )

    def test_the_token_of_the_users_own_list_gives_placement_and_model(
        self, service: RunningService, redis: Redis
    ) -> None:
        answer = service.recommend("u001", limit=1)
        send(service, event("u001", recommendation_id=answer["recommendation_id"]))
        logged = stored(redis, "u001")[-1]
        assert (logged.attribution, logged.model_version) == ("valid", answer["model_version"])
        assert logged.placement
        assert logged.recommendation_id == answer["recommendation_id"]
        assert self.outcomes(service) == (1, 0)

    def test_a_list_for_everybody_may_lead_to_anybodys_event(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        token = service.get("/v1/lists/popular")["recommendation_id"]
        send(service, event(user, recommendation_id=token))
        assert stored(redis, user)[0].attribution == "valid"

    def test_a_forged_or_foreign_token_never_costs_the_event(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        foreign = service.recommend("u002")["recommendation_id"]
        results = send(service, event(user, recommendation_id="r1.forged"), event(user, recommendation_id=foreign))
        assert statuses(results) == ["accepted", "accepted"]
        assert [each.attribution for each in stored(redis, user)] == ["invalid", "invalid"]
        assert self.outcomes(service) == (0, 2)

    def test_duplicates_are_not_counted_again(self, service: RunningService) -> None:
        once = event(fresh("u"), recommendation_id="r1.forged")
        send(service, once, once)
        assert self.outcomes(service) == (0, 1)

    def test_an_expired_token_is_invalid(self, service: RunningService, redis: Redis) -> None:
        user = fresh("u")
        signer = TokenSigner([load_or_create_key(service.state_dir / "token.key")])
        issued = int(datetime.now(UTC).timestamp())
        for age in (29 * 86_400, 31 * 86_400):
            token = signer.issue(issued=issued - age, placement="home", model_version="m", user_id=user)
            send(service, event(user, recommendation_id=token))
        assert [each.attribution for each in stored(redis, user)] == ["valid", "invalid"]


def test_outcomes_are_counted(service: RunningService) -> None:
    once = event(fresh("u"))
    send(service, once, once, {}, event(fresh("u")))
    counted = {
        outcome: service.metric(f'recsvc_events_total{{outcome="{outcome}"}}')
        for outcome in ("accepted", "duplicate", "rejected", "refused")
    }
    assert counted == {"accepted": 2, "duplicate": 1, "rejected": 1, "refused": 0}
