"""Users as resources, merges and erasure, over HTTP and a real Redis."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from recsvc.eventlog.tombstones import read_tombstones
from tests.redis_process import RedisProcess
from tests.running import RunningService, ids, wait_until

WHOLE: dict[str, Any] = {
    "attributes": {"country": "de", "age": 33.0, "paying": True},
    "interests": ["cooking", "music"],
}


@pytest.fixture
def elsewhere(service: RunningService, tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    """Another process of the service, as it were: it shares Redis and nothing else."""
    with RunningService(tmp_path / "elsewhere", redis_url) as other:
        yield other


def happen(service: RunningService, user: str, *items: str) -> None:
    """The user likes the items."""
    events = [{"event_id": secrets.token_hex(8), "type": "like", "user_id": user, "item_id": item} for item in items]
    answer = service.client.post("/v1/events", json={"events": events})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"accepted"}


def merge(service: RunningService, user: str, source: str) -> Any:
    return service.post(f"/v1/users/{user}:merge", {"from": source})


def keys_of(redis_url: str, user: str) -> list[str]:
    """Names of the keys that hold the id."""
    with redis.Redis.from_url(redis_url) as client:
        return [key.decode() for key in client.scan_iter(match=f"*{user}*", count=10_000)]


class TestPut:
    def test_what_was_put_is_there(self, service: RunningService, user: str) -> None:
        put = service.client.put(f"/v1/users/{user}", json=WHOLE)
        assert put.status_code == 201
        body = put.json()
        assert body["created_at"] == body["updated_at"]
        assert {name: body[name] for name in WHOLE} == WHOLE
        assert service.get(f"/v1/users/{user}") == body

    def test_again_replaces_the_whole_and_keeps_when_it_was_created(self, service: RunningService, user: str) -> None:
        first = service.client.put(f"/v1/users/{user}", json=WHOLE).json()
        again = service.client.put(f"/v1/users/{user}", json={"interests": ["sport"]})
        assert again.status_code == 200
        assert again.json()["attributes"] == {}
        assert again.json()["created_at"] == first["created_at"]
        assert again.json()["updated_at"] > first["updated_at"]

    def test_what_get_answers_can_be_put_back(self, service: RunningService, user: str) -> None:
        service.client.put(f"/v1/users/{user}", json=WHOLE)
        assert service.client.put(f"/v1/users/{user}", json=service.get(f"/v1/users/{user}")).status_code == 200

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"interests": [f"c{i}" for i in range(33)]}, "#/interests"),
            ({"interests": [""]}, "#/interests/0"),
            ({"attributes": {"a": {}}}, "#/attributes/a"),
            ({"name": "Ann"}, "#/name"),
            ({"user_id": "other"}, "#/user_id"),
            ({"attributes": {f"a{i}": "ü" * 256 for i in range(64)}}, "#"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(
        self, service: RunningService, user: str, body: Any, pointer: str
    ) -> None:
        answer = service.client.put(f"/v1/users/{user}", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"].startswith(pointer)
        assert service.client.get(f"/v1/users/{user}").status_code == 404

    @pytest.mark.parametrize("suffix", ["/b", ":batch", ":merge", "%41", "ü ö", "{p000}"])
    def test_any_id_works(self, service: RunningService, user: str, suffix: str) -> None:
        address = f"/v1/users/{quote(user + suffix, safe='')}"
        assert service.client.put(address, json=WHOLE).json()["user_id"] == user + suffix
        assert service.get(address)["interests"] == WHOLE["interests"]
        assert service.client.post(f"{address}:merge", json={"from": f"{user}-a"}).json()["user_id"] == user + suffix
        assert service.client.delete(address).json()["user_id"] == user + suffix
        assert service.client.get(address).status_code == 404

    def test_another_process_sees_it_at_once(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        service.client.put(f"/v1/users/{user}", json=WHOLE)
        assert elsewhere.get(f"/v1/users/{user}") == service.get(f"/v1/users/{user}")


class TestGet:
    def test_a_user_of_whom_nothing_is_known_is_a_404_problem(self, service: RunningService, user: str) -> None:
        answer = service.client.get(f"/v1/users/{user}")
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:recsvc:problem:user-unknown"
        assert user in answer.json()["detail"]

    def test_a_user_of_the_model_or_with_events_is_there_without_a_profile(
        self, service: RunningService, user: str
    ) -> None:
        happen(service, user, "v001")
        for known in ("u001", user):
            assert service.get(f"/v1/users/{known}") == {
                "user_id": known,
                "attributes": {},
                "interests": [],
                "created_at": None,
                "updated_at": None,
            }


class TestPatch:
    def test_changes_what_is_sent_removes_what_is_null_and_keeps_the_rest(
        self, service: RunningService, user: str
    ) -> None:
        service.client.put(f"/v1/users/{user}", json=WHOLE)
        headers = {"Content-Type": "application/merge-patch+json"}
        patch = b'{"interests": null, "attributes": {"age": null, "country": "fr"}}'
        answer = service.client.patch(f"/v1/users/{user}", content=patch, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["interests"] == []
        assert answer.json()["attributes"] == {"country": "fr", "paying": True}

    def test_of_a_new_user_starts_from_an_empty_one(self, service: RunningService, user: str) -> None:
        assert service.client.patch(f"/v1/users/{user}", json={"interests": ["sport"]}).status_code == 200
        assert service.get(f"/v1/users/{user}")["interests"] == ["sport"]

    def test_a_patch_that_makes_the_user_wrong_changes_nothing(self, service: RunningService, user: str) -> None:
        before = service.client.put(f"/v1/users/{user}", json=WHOLE).json()
        assert service.client.patch(f"/v1/users/{user}", json={"interests": 3}).status_code == 422
        assert service.client.patch(f"/v1/users/{user}", json=[]).status_code == 422
        assert service.get(f"/v1/users/{user}") == before

    def test_of_patches_at_the_same_time_none_is_lost(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        def patch(number: int) -> int:
            one = (service, elsewhere)[number % 2]
            while True:
                answer = one.client.patch(f"/v1/users/{user}", json={"attributes": {f"a{number}": number}})
                if answer.status_code != 409:
                    return answer.status_code

        for number in range(2):
            patch(number)  # one thread at a time: a route's first request prepares it
        with ThreadPoolExecutor(8) as clients:
            assert set(clients.map(patch, range(40))) == {200}
        assert service.get(f"/v1/users/{user}")["attributes"] == {f"a{i}": float(i) for i in range(40)}


class TestBatch:
    def test_one_result_each_in_order(self, service: RunningService, user: str) -> None:
        wrong = f"{user}-wrong"
        users = [{"user_id": user, "interests": ["music"]}, {"interests": []}, None, {"user_id": user}]
        users.append({"user_id": wrong, "intrests": []})
        results = service.post("/v1/users:batch", {"users": users})["results"]
        assert results[0] == {"user_id": user, "status": "created"}
        assert results[1]["problem"]["errors"][0]["pointer"] == "#/users/1/user_id"
        assert results[2]["problem"]["status"] == 422
        assert [(result["user_id"], result["status"]) for result in results[1:3]] == [(None, "rejected")] * 2
        assert results[3] == {"user_id": user, "status": "replaced"}
        assert (results[4]["user_id"], results[4]["status"]) == (wrong, "rejected")
        assert results[4]["problem"]["detail"] == "#/users/4/intrests: is not a known field; it may be misspelt"
        assert service.get(f"/v1/users/{user}")["interests"] == []

    def test_a_thousand_are_put_and_more_are_refused(self, service: RunningService, user: str) -> None:
        thousand = [{"user_id": f"{user}-{i}", "interests": ["sport"]} for i in range(1000)]
        results = service.post("/v1/users:batch", {"users": thousand})["results"]
        assert {result["status"] for result in results} == {"created"}
        assert service.get(f"/v1/users/{user}-999")["interests"] == ["sport"]
        assert service.client.post("/v1/users:batch", json={"users": [*thousand, {}]}).status_code == 422


class TestMerge:
    def test_moves_events_and_profile_once(self, service: RunningService, user: str) -> None:
        anonymous = f"{user}-anon"
        happen(service, anonymous, "v001", "v002", "v003")
        service.client.put(f"/v1/users/{anonymous}", json=WHOLE)
        merged = merge(service, user, anonymous)
        assert merged == {"user_id": user, "from": anonymous, "status": "merged", "events": 3}
        assert merge(service, user, anonymous) == merged | {"status": "already_merged", "events": 0}
        assert service.get(f"/v1/users/{user}")["interests"] == WHOLE["interests"]

    def test_from_then_on_the_other_id_stands_for_the_account(self, service: RunningService, user: str) -> None:
        anonymous = f"{user}-anon"
        merge(service, user, anonymous)
        happen(service, anonymous, "v001")
        service.client.put(f"/v1/users/{anonymous}", json=WHOLE)
        assert service.get(f"/v1/users/{anonymous}") == service.get(f"/v1/users/{user}")
        assert service.get(f"/v1/users/{user}")["user_id"] == user

    def test_the_accounts_own_profile_stays(self, service: RunningService, user: str) -> None:
        anonymous = f"{user}-anon"
        service.client.put(f"/v1/users/{user}", json={"interests": ["sport"]})
        service.client.put(f"/v1/users/{anonymous}", json=WHOLE)
        merge(service, user, anonymous)
        assert service.get(f"/v1/users/{user}")["interests"] == ["sport"]
        assert service.get(f"/v1/users/{anonymous}")["interests"] == ["sport"]

    def test_goes_to_whom_the_account_was_merged_into(self, service: RunningService, user: str) -> None:
        merge(service, user, f"{user}-old")
        happen(service, f"{user}-anon", "v001")
        assert merge(service, f"{user}-old", f"{user}-anon")["user_id"] == user
        assert merge(service, user, f"{user}-anon")["status"] == "already_merged"

    def test_into_itself_is_a_422_problem(self, service: RunningService, user: str) -> None:
        answer = service.client.post(f"/v1/users/{user}:merge", json={"from": user})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/from"

    @pytest.mark.parametrize("body", [{}, {"from": ""}, {"from": 3}, {"from": "a", "to": "b"}, []])
    def test_a_wrong_body_is_a_422_problem(self, service: RunningService, user: str, body: Any) -> None:
        assert service.client.post(f"/v1/users/{user}:merge", json=body).status_code == 422

    def test_of_a_user_merged_elsewhere_and_in_a_circle_is_a_409_problem(
        self, service: RunningService, user: str
    ) -> None:
        merge(service, f"{user}-b", f"{user}-a")
        merge(service, f"{user}-c", f"{user}-b")
        for target, source in [(f"{user}-other", f"{user}-a"), (f"{user}-a", f"{user}-c"), (f"{user}-b", f"{user}-c")]:
            answer = service.client.post(f"/v1/users/{target}:merge", json={"from": source})
            assert answer.status_code == 409, (target, source)
            assert answer.json()["type"] == "urn:recsvc:problem:merge-refused"

    def test_two_that_cross_do_not_make_a_circle(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        for place in (service, elsewhere):
            merge(place, user, f"{user}-{id(place)}")  # one thread at a time: a route's first request prepares it
        for turn in range(10):
            one, other = f"{user}-{turn}-one", f"{user}-{turn}-other"
            with ThreadPoolExecutor(2) as clients:
                first = clients.submit(service.client.post, f"/v1/users/{one}:merge", json={"from": other})
                second = clients.submit(elsewhere.client.post, f"/v1/users/{other}:merge", json={"from": one})
            assert sorted([first.result().status_code, second.result().status_code]) == [200, 409]
            happen(service, one, "v001")
            happen(service, other, "v002")


class TestErase:
    def test_nothing_with_the_id_is_left_in_redis(self, service: RunningService, user: str, redis_url: str) -> None:
        happen(service, user, "v001", "v002")
        service.client.put(f"/v1/users/{user}", json=WHOLE)
        service.recommend(user)
        assert keys_of(redis_url, user)
        receipt = service.client.delete(f"/v1/users/{user}")
        assert receipt.status_code == 200
        assert keys_of(redis_url, user) == []
        assert service.client.get(f"/v1/users/{user}").status_code == 404

    def test_the_receipt_says_what_is_gone_and_what_goes_until_when(self, service: RunningService) -> None:
        receipt = service.client.delete("/v1/users/u002").json()
        assert receipt["user_id"] == "u002"
        erased_at = datetime.fromisoformat(receipt["erased_at"])
        pending = {part["what"]: part for part in receipt["pending"]}
        bundle = pending[f"model {service.registry.champion()}"]
        assert (datetime.fromisoformat(bundle["until"]) - erased_at).days == 30
        assert any("log" in what for what in pending)
        assert any("append-only" in what for what in pending)
        assert all(part["why"] for part in receipt["pending"])
        assert all(isinstance(part, str) and part for part in receipt["gone"])

    def test_a_user_of_whom_nothing_is_known_gets_a_receipt_too(self, service: RunningService, user: str) -> None:
        receipt = service.client.delete(f"/v1/users/{user}").json()
        assert not any(part["what"].startswith("model") for part in receipt["pending"])
        again = service.client.delete(f"/v1/users/{user}").json()
        assert again["erased_at"] > receipt["erased_at"]

    def test_the_tombstone_is_in_the_file_before_the_answer_and_names_nobody(
        self, service: RunningService, user: str
    ) -> None:
        receipt = service.client.delete(f"/v1/users/{user}").json()
        tombstone = read_tombstones(service.state_dir).of(user)
        assert tombstone is not None
        assert tombstone.erased_at == pytest.approx(datetime.fromisoformat(receipt["erased_at"]).timestamp())
        assert user not in (service.state_dir / "live" / "erasures.jsonl").read_text()

    def test_every_process_has_the_tombstone_within_a_second(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        service.client.delete(f"/v1/users/{user}")
        wait_until(lambda: read_tombstones(elsewhere.state_dir).of(user) is not None, seconds=1)

    def test_takes_those_who_were_merged_into_the_user_along(
        self, service: RunningService, user: str, redis_url: str
    ) -> None:
        happen(service, f"{user}-a", "v001")
        merge(service, f"{user}-b", f"{user}-a")
        merge(service, user, f"{user}-b")
        receipt = service.client.delete(f"/v1/users/{user}").json()
        assert keys_of(redis_url, user) == []
        tombstones = read_tombstones(service.state_dir)
        assert all(tombstones.of(one) is not None for one in (user, f"{user}-a", f"{user}-b"))
        assert any(f"{user}-a, {user}-b" in line for line in receipt["gone"])

    def test_of_one_who_was_merged_leaves_the_account_and_says_what_that_took_over(
        self, service: RunningService, user: str, redis_url: str
    ) -> None:
        happen(service, f"{user}-a", "v001")
        merge(service, user, f"{user}-a")
        receipt = service.client.delete(f"/v1/users/{user}-a").json()
        assert any(f"{user} took over" in part["what"] for part in receipt["pending"])
        assert service.client.get(f"/v1/users/{user}").status_code == 200
        happen(service, f"{user}-a", "v002")
        assert service.get(f"/v1/users/{user}-a")["user_id"] == f"{user}-a"
        service.client.delete(f"/v1/users/{user}")
        assert service.client.get(f"/v1/users/{user}-a").status_code == 200

    def test_the_id_may_come_back_as_a_new_user(self, service: RunningService, user: str) -> None:
        happen(service, user, "v001")
        service.client.delete(f"/v1/users/{user}")
        happen(service, user, "v002")
        assert service.client.put(f"/v1/users/{user}", json={}).status_code == 201
        assert service.get(f"/v1/users/{user}")["interests"] == []

    def test_an_erased_user_of_the_model_is_unknown_until_something_new_happens(self, service: RunningService) -> None:
        service.client.delete("/v1/users/u003")
        assert service.client.get("/v1/users/u003").status_code == 404
        happen(service, "u003", "v002")
        assert service.client.get("/v1/users/u003").status_code == 200
        service.client.delete("/v1/users/u003")


class TestLists:
    def test_interests_count_at_the_next_request_of_a_user_of_whom_nothing_else_is_known(
        self, service: RunningService, elsewhere: RunningService, user: str
    ) -> None:
        elsewhere.publish(version=service.registry.champion())
        wait_until(lambda: elsewhere.client.get("/readyz").status_code == 200)
        for place in (service, elsewhere):
            place.recommend(user)
        for interest in ("music", "sport"):
            service.client.put(f"/v1/users/{user}", json={"interests": [interest]})
            for place in (elsewhere, service):
                first = place.recommend(user, limit=3, fields="categories")["items"][0]
                assert first["categories"] == [interest]

    def test_what_an_anonymous_user_consumed_does_not_come_back_to_the_account(
        self, service: RunningService, user: str
    ) -> None:
        liked = ids(service.recommend(user))[:3]
        happen(service, f"{user}-anon", *liked)
        merge(service, user, f"{user}-anon")
        assert not set(liked) & set(ids(service.recommend(user, limit=100)))

    def test_an_erased_user_gets_the_list_of_a_new_one_from_every_model(self, service: RunningService) -> None:
        old = service.registry.champion()
        service.publish(seed=1)
        newcomer = ids(service.recommend(f"new-{secrets.token_hex(4)}", model=old))
        assert ids(service.recommend("u004", model=old)) != newcomer
        service.client.delete("/v1/users/u004")
        assert ids(service.recommend("u004", model=old)) == newcomer
        assert service.get("/v1/users/u004/similar", model=old)["degraded"] == ["new_user"]


class TestRedisAway:
    def test_everything_is_refused_with_retry_after(
        self, service: RunningService, redis_server: RedisProcess, user: str
    ) -> None:
        redis_server.kill()
        for answer in (
            service.client.get(f"/v1/users/{user}"),
            service.client.put(f"/v1/users/{user}", json=WHOLE),
            service.client.patch(f"/v1/users/{user}", json=WHOLE),
            service.client.delete(f"/v1/users/{user}"),
            service.client.post(f"/v1/users/{user}:merge", json={"from": "a"}),
            service.client.post("/v1/users:batch", json={"users": [{"user_id": user}]}),
        ):
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
        assert read_tombstones(service.state_dir).of(user) is None


class TestScopes:
    def test_reading_needs_read_and_changing_needs_admin(self, tmp_path: Path, redis_url: str, user: str) -> None:
        keys = "reader-key-0123456789:read,events owner-key-01234567890:admin"
        service = RunningService(tmp_path, redis_url, api_keys=keys)
        service.publish()
        with service:
            reader = {"Authorization": "Bearer reader-key-0123456789"}
            owner = {"Authorization": "Bearer owner-key-01234567890"}
            assert service.client.get("/v1/users/u001").status_code == 401
            assert service.client.get("/v1/users/u001", headers=reader).status_code == 200
            for method, address in [
                ("PUT", f"/v1/users/{user}"),
                ("PATCH", f"/v1/users/{user}"),
                ("DELETE", f"/v1/users/{user}"),
                ("POST", f"/v1/users/{user}:merge"),
                ("POST", "/v1/users:batch"),
            ]:
                assert service.client.request(method, address, json={}, headers=reader).status_code == 403
            assert service.client.put(f"/v1/users/{user}", json={}, headers=owner).status_code == 201
