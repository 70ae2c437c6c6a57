"""Experiments in the answers: which model answers whom, and what the token says of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from recsvc.eventlog.event import Arm
from recsvc.store.keys import state_key
from tests.api.experimenters import in_variants, put, start
from tests.api.sending import event, send, stored
from tests.running import RunningService, ids, wait_until


@pytest.fixture
def other(service: RunningService) -> str:
    """A version beside the champion."""
    return service.publish(promote=False, seed=1)


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def with_model(version: str) -> list[dict[str, str]]:
    return [{"key": "control"}, {"key": "treatment", "model": version}]


class TestModels:
    def test_each_variant_is_answered_by_its_model(self, service: RunningService, other: str) -> None:
        champion = service.registry.champion()
        start(service, "x", variants=with_model(other))
        control, treated = in_variants(service, "x", "control", "treatment")
        for user, variant, version in [(control, "control", champion), (treated, "treatment", other)]:
            answer = service.recommend(user)
            assert answer["model_version"] == version
            assert answer["experiments"] == [{"experiment": "x", "variant": variant, "forced": False}]
            assert answer["degraded"] == []
        assert ids(service.recommend(treated)) == ids(service.recommend(treated, model=other))
        assert service.metric('recsvc_assignments_total{experiment="x",variant="treatment"}') == 2

    def test_a_user_in_no_experiment_has_no_word_of_them(self, service: RunningService) -> None:
        answer = service.recommend("u001")
        assert "experiments" not in answer
        assert answer["recommendation_id"].startswith("r1.")

    def test_a_model_that_a_worker_cannot_have_falls_back_to_the_champion_and_says_so(
        self, service: RunningService, elsewhere: RunningService, user: str, client: redis.Redis
    ) -> None:
        """The other worker has no bundle of that version, as a machine where it has not arrived yet."""
        start(service, "x", variants=with_model(service.publish(promote=False, seed=1)))
        (treated,) = in_variants(service, "x", "treatment", prefix=user)
        wait_until(lambda: "experiments" in elsewhere.recommend(treated))
        answer = elsewhere.recommend(treated)
        assert answer["model_version"] == elsewhere.registry.champion()
        assert answer["degraded"] == ["experiment"]
        assert elsewhere.metric('recsvc_experiment_fallbacks_total{experiment="x",variant="treatment"}') > 0
        send(elsewhere, event(treated, recommendation_id=answer["recommendation_id"]))
        (logged,) = stored(client, treated)
        assert logged.experiments == (Arm("x", 1, "treatment", forced=False, fallback=True),)

    def test_the_models_of_running_experiments_stay_open(self, service: RunningService) -> None:
        wanted = [service.publish(promote=False, seed=seed) for seed in (1, 2, 3)]
        variants = [{"key": f"v{i}", "model": version} for i, version in enumerate(wanted)]
        start(service, "x", variants=variants)
        for extra in (service.publish(promote=False, seed=9), service.publish(promote=False, seed=10)):
            service.recommend("u001", model=extra)
        for i in range(40):
            answer = service.recommend(f"u{i:03}")
            place = int(answer["experiments"][0]["variant"][1:])
            assert (answer["model_version"], answer["degraded"]) == (wanted[place], [])


class TestChosen:
    def test_a_forced_variant_is_marked(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=with_model(other))
        for user in in_variants(service, "x", "control", "treatment"):
            answer = service.recommend(user, variant="x:treatment")
            assert answer["model_version"] == other
            assert answer["experiments"] == [{"experiment": "x", "variant": "treatment", "forced": True}]

    def test_a_draft_can_be_looked_at(self, service: RunningService) -> None:
        put(service, "x")
        assert service.recommend("u001", variant="x:control")["experiments"][0]["forced"] is True

    def test_a_variant_assigned_elsewhere_is_not_forced(self, service: RunningService) -> None:
        start(service, "x", coverage=0.0)
        assert "experiments" not in service.recommend("u001")
        for variant in ("control", "treatment"):
            answer = service.recommend("u001", assigned=f"x:{variant}")
            assert answer["experiments"] == [{"experiment": "x", "variant": variant, "forced": False}]

    @pytest.mark.parametrize(
        ("parameters", "pointer", "told"),
        [
            ({"variant": "x"}, "variant", "experiment:variant"),
            ({"variant": "y:control"}, "variant", "no experiment 'y'"),
            ({"variant": "x:third"}, "variant", "it has control, treatment"),
            ({"assigned": "draft:control"}, "assigned", "that runs"),
            ({"variant": "x:control", "assigned": "x:control"}, "assigned", "together"),
            ({"variant": "x:control", "model": "m"}, "model", "together"),
        ],
    )
    def test_what_is_wrong_is_told(
        self, service: RunningService, parameters: dict[str, str], pointer: str, told: str
    ) -> None:
        start(service, "x")
        put(service, "draft")
        refused = service.client.get("/v1/users/u001/recommendations", params=parameters)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == f"#/query/{pointer}"
        assert told in refused.json()["detail"]

    def test_a_model_that_is_asked_for_stands_outside_of_experiments(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=with_model(other))
        assert "experiments" not in service.recommend("u001", model=other)

    def test_a_batch_has_the_same(self, service: RunningService, other: str) -> None:
        start(service, "x", variants=with_model(other))
        (treated,) = in_variants(service, "x", "treatment")
        start(service, "device", unit="unit_id")
        requests = [
            {"user_id": treated},
            {"user_id": treated, "variant": "x:control"},
            {"user_id": treated, "unit_id": "d1"},
            {"user_id": treated, "variant": "x:control", "assigned": "x:control"},
        ]
        answers = service.post("/v1/recommendations:batch", {"requests": requests})["results"]
        assert answers[0]["experiments"] == service.recommend(treated)["experiments"]
        assert answers[1]["experiments"][0]["forced"] is True
        assert [found["experiment"] for found in answers[2]["experiments"]] == ["x", "device"]
        assert answers[3]["problem"]["errors"][0]["pointer"] == "#/requests/3/assigned"


class TestUnits:
    def test_a_unit_id_has_its_variant_whoever_comes_with_it(self, service: RunningService) -> None:
        start(service, "x", unit="unit_id")
        assert "experiments" not in service.recommend("u001")
        for device in ("d1", "d2", "d3"):
            found = {service.recommend(f"u{i:03}", unit_id=device)["experiments"][0]["variant"] for i in range(5)}
            assert len(found) == 1


class TestTargeting:
    def test_goes_by_the_user_resource_as_it_is_now(self, service: RunningService, user: str) -> None:
        start(service, "x", targeting={"attributes": {"plan": ["pro", "team"]}})
        assert "experiments" not in service.recommend(user)
        service.client.put(f"/v1/users/{user}", json={"attributes": {"plan": "pro"}})
        assert service.recommend(user)["experiments"][0]["experiment"] == "x"
        service.client.put(f"/v1/users/{user}", json={"attributes": {"plan": "free"}})
        assert "experiments" not in service.recommend(user)

    def test_new_users_are_those_put_since_the_start(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}-before", json={})
        time.sleep(0.01)
        start(service, "x", targeting={"new_users_only": True})
        service.client.put(f"/v1/users/{user}", json={})
        assert "experiments" not in service.recommend(f"{user}-before")
        assert "experiments" in service.recommend(user)


class TestAttribution:
    def test_events_carry_the_variant_of_their_answer(
        self, service: RunningService, user: str, client: redis.Redis
    ) -> None:
        start(service, "x")
        answer = service.recommend(user)
        token, item = answer["recommendation_id"], answer["items"][0]
        assert token.startswith("r2.")
        more = {"item_id": item["id"], "recommendation_id": token, "position": 0, "source": item["source"]}
        send(service, event(user, type="impression", **more), event(user, **more))
        logged = stored(client, user)
        assert [found.type for found in logged] == ["impression", "like"]
        expected = (Arm("x", 1, answer["experiments"][0]["variant"]),)
        assert {(found.experiments, found.position, found.source) for found in logged} == {
            (expected, 0, item["source"])
        }

    def test_after_a_merge_the_token_of_the_visitor_still_says_its_variant(
        self, service: RunningService, user: str, client: redis.Redis
    ) -> None:
        start(service, "x")
        answer = service.recommend(f"{user}-anon")
        send(service, event(f"{user}-anon", event_id="before"))
        service.post(f"/v1/users/{user}:merge", {"from": f"{user}-anon"})
        send(service, event(user, recommendation_id=answer["recommendation_id"]))
        (logged,) = [found for found in stored(client, user) if found.recommendation_id]
        assert logged.attribution == "valid"
        assert logged.experiments[0].variant == answer["experiments"][0]["variant"]

    def test_a_token_of_somebody_else_attributes_nothing(
        self, service: RunningService, user: str, client: redis.Redis
    ) -> None:
        start(service, "x")
        send(service, event(user, recommendation_id=service.recommend("u001")["recommendation_id"]))
        (logged,) = stored(client, user)
        assert (logged.attribution, logged.experiments) == ("invalid", ())
        assert service.metric('recsvc_attribution_total{outcome="invalid"}') == 1


class TestMerges:
    """The first variant is kept: an account in which nothing was done goes on as the visitor it began as."""

    @pytest.fixture
    def visitor(self, service: RunningService, user: str, other: str) -> str:
        """One in another variant than the account `user`."""
        start(service, "x", variants=with_model(other))
        results = service.post("/v1/experiments/x:preview", {"user_ids": [user, *(f"{user}-{i}" for i in range(40))]})
        own, *visitors = results["results"]
        return next(found["user_id"] for found in visitors if found["variant"] != own["variant"])

    def test_an_account_that_begins_with_a_visitor_keeps_the_visitors_variant(
        self, service: RunningService, elsewhere: RunningService, user: str, visitor: str
    ) -> None:
        own, before = service.recommend(user), service.recommend(visitor)
        assert own["experiments"] != before["experiments"]
        service.client.put(f"/v1/users/{user}", json={"attributes": {"plan": "free"}})
        send(service, event(visitor))
        service.post(f"/v1/users/{user}:merge", {"from": visitor})
        for _ in range(2):
            after = service.recommend(user)
            assert after["experiments"] == before["experiments"]
            assert after["model_version"] == before["model_version"]
            assert service.recommend(visitor)["experiments"] == before["experiments"]
        wait_until(lambda: elsewhere.recommend(user).get("experiments") == before["experiments"])

    def test_an_account_that_did_something_before_keeps_its_own(
        self, service: RunningService, user: str, visitor: str
    ) -> None:
        own = service.recommend(user)["experiments"]
        send(service, event(user, type="impression"))
        send(service, event(visitor))
        service.post(f"/v1/users/{user}:merge", {"from": visitor})
        assert service.recommend(user)["experiments"] == own

    def test_over_two_merges_it_is_the_first_visitor(self, service: RunningService, user: str, visitor: str) -> None:
        first = service.recommend(visitor)["experiments"]
        send(service, event(visitor))
        service.post(f"/v1/users/{user}-between:merge", {"from": visitor})
        service.post(f"/v1/users/{user}:merge", {"from": f"{user}-between"})
        assert service.recommend(user)["experiments"] == first

    def test_an_erased_visitor_is_forgotten_here_too(
        self, service: RunningService, user: str, visitor: str, client: redis.Redis
    ) -> None:
        own = service.recommend(user)["experiments"]
        send(service, event(visitor))
        service.post(f"/v1/users/{user}:merge", {"from": visitor})
        assert service.client.delete(f"/v1/users/{visitor}").status_code == 200
        assert client.hget(state_key(user), "unit") is None
        wait_until(lambda: service.recommend(user)["experiments"] == own)


class TestKept:
    """The short way past the framework, for answers that are kept."""

    def test_an_answer_that_was_kept_is_in_the_experiment_as_well(
        self, service: RunningService, user: str, client: redis.Redis
    ) -> None:
        start(service, "x")
        first, again = service.recommend(user), service.recommend(user)
        assert again["experiments"] == first["experiments"]
        send(service, event(user, recommendation_id=again["recommendation_id"]))
        (logged,) = stored(client, user)
        assert logged.experiments == (Arm("x", 1, first["experiments"][0]["variant"]),)
        variant = first["experiments"][0]["variant"]
        assert service.metric(f'recsvc_assignments_total{{experiment="x",variant="{variant}"}}') == 2

    def test_is_gone_when_an_experiment_starts_and_when_it_stops(self, service: RunningService) -> None:
        for _ in range(2):
            assert "experiments" not in service.recommend("u001")
        start(service, "x")
        for _ in range(2):
            assert "experiments" in service.recommend("u001")
        service.post("/v1/experiments/x:stop")
        assert "experiments" not in service.recommend("u001")

    def test_an_answer_with_a_chosen_variant_is_not_given_to_who_may_not_choose(
        self, tmp_path: Path, redis_url: str
    ) -> None:
        reader, experimenter = "reader-0123456789", "experimenter-0123"
        service = RunningService(tmp_path, redis_url, api_keys=f"{reader}:read {experimenter}:experiments,read")
        service.publish()
        with service:
            as_reader, as_experimenter = ({"Authorization": f"Bearer {key}"} for key in (reader, experimenter))
            assert put(service, "x", headers=as_experimenter).status_code == 201
            path = "/v1/users/u001/recommendations?variant=x:control"
            for _ in range(2):
                assert service.client.get(path, headers=as_experimenter).status_code == 200
            assert service.client.get(path, headers=as_reader).status_code == 403
