"""Items as resources: put, changed, deleted, and known to every process within a second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis

from tests.redis_process import RedisProcess
from tests.running import RunningService, ids, wait_until

WHOLE: dict[str, Any] = {
    "title": "Ten minute noodles",
    "creator": "c4",
    "categories": ["cooking", "travel"],
    "published_at": "2026-11-22T05:00:00Z",
    "expires_at": "2027-11-22T05:00:00.25Z",
    "hidden": False,
    "quality": 0.5,
    "attributes": {"language": "en", "minutes": 10.0, "vegan": True},
}
EMPTY: dict[str, Any] = {
    "title": None,
    "creator": None,
    "categories": [],
    "published_at": None,
    "expires_at": None,
    "hidden": False,
    "quality": 1.0,
    "attributes": {},
}


def without_stamp(answer: httpx.Response) -> dict[str, Any]:
    """The item of an answer, without the two fields that were not sent."""
    item: dict[str, Any] = answer.json()
    assert item.pop("updated_at") is not None
    assert item.pop("item_id")
    return item


@pytest.fixture
def elsewhere(service: RunningService, tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    """Another process of the service, as it were: it shares Redis and nothing else."""
    with RunningService(tmp_path / "elsewhere", redis_url) as other:
        yield other


class TestPut:
    def test_what_was_put_is_there_at_once(self, service: RunningService) -> None:
        put = service.client.put("/v1/items/new", json=WHOLE)
        assert put.status_code == 201
        assert without_stamp(put) | {"expires_at": WHOLE["expires_at"]} == WHOLE
        assert service.get("/v1/items/new") == put.json()
        assert put.json()["expires_at"] == "2027-11-22T05:00:00.250000Z"

    def test_again_replaces_the_whole_but_for_its_date_and_answers_200(self, service: RunningService) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        again = service.client.put("/v1/items/new", json={})
        assert again.status_code == 200
        assert without_stamp(again) == EMPTY | {"published_at": WHOLE["published_at"]}

    def test_an_item_of_the_bundle_is_replaced_not_created(self, service: RunningService) -> None:
        assert service.client.put("/v1/items/v003", json={"title": "Another"}).status_code == 200
        assert service.get("/v1/items/v003")["creator"] is None

    def test_what_get_answers_can_be_put_back(self, service: RunningService) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        answered = service.get("/v1/items/new")
        assert service.client.put("/v1/items/new", json=answered | {"hidden": True}).status_code == 200
        assert service.get("/v1/items/new")["hidden"] is True

    @pytest.mark.parametrize(
        ("body", "pointer", "said"),
        [
            ({"title": "x" * 501}, "#/title", "500"),
            ({"title": "\ud800"}, "#/title", "unicode"),
            ({"attributes": {"a": "\ud800"}}, "#/attributes/a", "surrogate"),
            ({"attributes": {"\ud800": 1}}, "#/attributes/", "unicode"),
            ({"creator": ""}, "#/creator", "1-128"),
            ({"categories": [f"c{i}" for i in range(33)]}, "#/categories", "32"),
            ({"categories": ["a\n"]}, "#/categories/0", "control"),
            ({"published_at": 1790000000}, "#/published_at", "RFC 3339"),
            ({"published_at": "2026-11-22"}, "#/published_at", "RFC 3339"),
            ({"expires_at": "9999-12-31T23:59:59-01:00"}, "#/expires_at", "9999"),
            ({"expires_at": "9999-12-31T23:59:59.9999999Z"}, "#/expires_at", "9999"),
            ({"hidden": "yes"}, "#/hidden", "boolean"),
            ({"quality": 1.5}, "#/quality", "1"),
            ({"quality": True}, "#/quality", "number"),
            ({"attributes": {f"a{i}": 1 for i in range(65)}}, "#/attributes", "64"),
            ({"attributes": {"": 1}}, "#/attributes/", "at least 1"),
            ({"attributes": {"a": "x" * 257}}, "#/attributes/a", "256"),
            ({"attributes": {"a": ["list"]}}, "#/attributes/a", "neither a string"),
            ({"attributes": {"a": None}}, "#/attributes/a", "neither a string"),
            ({"attributes": {"a": 10**400}}, "#/attributes/a", "out of range"),
            ({"colour": "red"}, "#/colour", "not a known field"),
            ({"item_id": "other"}, "#/item_id", "the address is of 'x'"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(
        self, service: RunningService, body: Any, pointer: str, said: str
    ) -> None:
        answer = service.client.put(
            "/v1/items/x", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422
        problem = answer.json()["errors"][0]
        assert problem["pointer"].startswith(pointer)
        assert said in problem["detail"]
        assert service.client.get("/v1/items/x").status_code == 404

    def test_expiry_before_publication_is_refused(self, service: RunningService) -> None:
        times = {"published_at": "2026-11-22T05:00:00Z", "expires_at": "2026-11-22T06:00:00+01:00"}
        answer = service.client.put("/v1/items/x", json=times)
        assert answer.status_code == 422
        assert "expires_at is not later than published_at" in answer.json()["detail"]

    def test_an_item_that_is_too_large_altogether_is_refused(self, service: RunningService) -> None:
        answer = service.client.put("/v1/items/x", json={"attributes": {f"a{i}": "ü" * 256 for i in range(64)}})
        assert answer.status_code == 422
        assert "8192" in answer.json()["detail"]

    @pytest.mark.parametrize("item", ["a/b", "v1:batch", "ü ö", "a:merge", "%41", "{live}:items", "-"])
    def test_any_id_works(self, service: RunningService, item: str) -> None:
        address = f"/v1/items/{quote(item, safe='')}"
        put = service.client.put(address, json=WHOLE)
        assert put.status_code == 201, put.text
        assert put.json()["item_id"] == service.client.get(address).json()["item_id"]
        assert service.client.delete(address).status_code == 204
        assert service.client.get(address).status_code == 404


class TestPatch:
    def test_changes_what_is_sent_removes_what_is_null_and_keeps_the_rest(self, service: RunningService) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        patch = {"title": "Noodles", "expires_at": None, "attributes": {"minutes": None, "spicy": False}}
        answer = service.client.patch("/v1/items/new", json=patch)
        assert answer.status_code == 200
        expected = WHOLE | {"title": "Noodles", "expires_at": None}
        assert without_stamp(answer) == expected | {"attributes": {"language": "en", "vegan": True, "spicy": False}}
        assert service.get("/v1/items/new") == answer.json()

    def test_an_item_of_the_bundle_keeps_what_the_bundle_says(self, service: RunningService) -> None:
        before = service.get("/v1/items/v005")
        assert before["title"] == "Title of item 5"
        assert before["updated_at"] is None
        after = service.client.patch("/v1/items/v005", json={"hidden": True}).json()
        assert after | {"hidden": False, "updated_at": None} == before
        assert after["hidden"]

    def test_is_read_as_a_merge_patch_by_its_own_media_type(self, service: RunningService) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        headers = {"Content-Type": "application/merge-patch+json"}
        assert service.client.patch("/v1/items/new", content=b'{"quality": 1}', headers=headers).status_code == 200
        assert service.get("/v1/items/new")["quality"] == 1.0

    def test_of_an_unknown_or_deleted_item_is_a_404_problem(self, service: RunningService) -> None:
        service.client.delete("/v1/items/v006")
        for item in ("nothing", "v006"):
            answer = service.client.patch(f"/v1/items/{item}", json={"hidden": True})
            assert answer.status_code == 404
            assert answer.json()["type"] == "urn:recsvc:problem:item-unknown"

    @pytest.mark.parametrize(
        ("patch", "status"),
        [([], 422), ({"quality": 2}, 422), ({"published_at": "2028-01-01T00:00:00Z"}, 422), ({"item_id": "o"}, 422)],
    )
    def test_a_patch_that_makes_the_item_wrong_changes_nothing(
        self, service: RunningService, patch: Any, status: int
    ) -> None:
        before = service.client.put("/v1/items/new", json=WHOLE).json()
        assert service.client.patch("/v1/items/new", json=patch).status_code == status
        assert service.get("/v1/items/new") == before

    def test_a_patch_nested_without_end_is_refused(self, service: RunningService) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        deep: Any = {}
        for _ in range(100):
            deep = {"attributes": deep}
        answer = service.client.patch("/v1/items/new", json=deep)
        assert answer.status_code == 422
        assert "nested too deeply" in answer.json()["detail"]

    def test_of_patches_at_the_same_time_none_is_lost(self, service: RunningService, elsewhere: RunningService) -> None:
        service.client.put("/v1/items/new", json={})

        def patch(number: int) -> int:
            one = (service, elsewhere)[number % 2]
            while True:
                answer = one.client.patch("/v1/items/new", json={"attributes": {f"a{number}": number}})
                if answer.status_code != 409:
                    return answer.status_code
                assert answer.json()["type"] == "urn:recsvc:problem:changed-meanwhile"

        wait_until(lambda: elsewhere.client.get("/v1/items/new").status_code == 200)
        for number in range(2):
            patch(number)  # one thread at a time: a route's first request prepares it
        with ThreadPoolExecutor(8) as clients:
            assert set(clients.map(patch, range(40))) == {200}
        service.client.patch("/v1/items/new", json={"title": "then"})
        assert service.get("/v1/items/new")["attributes"] == {f"a{i}": float(i) for i in range(40)}


class TestDelete:
    def test_a_deleted_item_is_gone_until_it_is_put_again(self, service: RunningService) -> None:
        assert service.client.delete("/v1/items/v007").status_code == 204
        assert service.client.get("/v1/items/v007").status_code == 404
        assert service.client.delete("/v1/items/v007").status_code == 204
        assert service.client.put("/v1/items/v007", json={"title": "Back"}).status_code == 201
        assert service.get("/v1/items/v007")["title"] == "Back"

    def test_an_item_that_only_a_later_bundle_may_know_is_deleted_as_well(self, service: RunningService) -> None:
        assert service.client.delete("/v1/items/later").status_code == 204
        assert service.client.get("/v1/items/later").status_code == 404


class TestBatch:
    def test_one_result_each_in_order(self, service: RunningService) -> None:
        answer = service.post(
            "/v1/items:batch",
            {
                "items": [
                    {"item_id": "b1", "title": "one"},
                    {"item_id": "v001"},
                    {"title": "no id"},
                    3,
                    {"item_id": "b1"},
                ]
            },
        )
        results = answer["results"]
        assert results[0] == {"item_id": "b1", "status": "created"}
        assert results[1] == {"item_id": "v001", "status": "replaced"}
        assert results[2]["problem"]["errors"] == [{"pointer": "#/items/2/item_id", "detail": "is required"}]
        assert results[3]["problem"]["errors"] == [{"pointer": "#/items/3", "detail": "is not a JSON object"}]
        assert [(result["item_id"], result["status"]) for result in results[2:4]] == [(None, "rejected")] * 2
        assert results[4] == {"item_id": "b1", "status": "replaced"}
        assert service.get("/v1/items/b1")["title"] is None

    def test_a_rejected_one_says_which_it_was(self, service: RunningService) -> None:
        items = [{"item_id": "b2", "quality": 2}, {"item_id": "b3", "title": 3}, {"item_id": ""}, {"item_id": "\ud800"}]
        body = json.dumps({"items": items}).encode("ascii")
        answer = service.client.post("/v1/items:batch", content=body, headers={"Content-Type": "application/json"})
        results = answer.json()["results"]
        assert [result["item_id"] for result in results] == ["b2", "b3", None, None]
        assert {result["status"] for result in results} == {"rejected"}
        assert results[1]["problem"]["detail"] == "#/items/1/title: is not a string"

    def test_a_thousand_are_put_and_more_are_refused(self, service: RunningService) -> None:
        thousand = [{"item_id": f"m{i}", "categories": ["sport"]} for i in range(1000)]
        results = service.post("/v1/items:batch", {"items": thousand})["results"]
        assert {result["status"] for result in results} == {"created"}
        assert service.get("/v1/items/m999")["categories"] == ["sport"]
        assert service.client.post("/v1/items:batch", json={"items": [*thousand, {}]}).status_code == 422
        assert service.client.post("/v1/items:batch", json={"items": []}).status_code == 422

    def test_nothing_valid_is_no_error_of_the_call(self, service: RunningService) -> None:
        assert "problem" in service.post("/v1/items:batch", {"items": [None]})["results"][0]


class TestEverywhere:
    def test_every_kind_of_change_reaches_another_process_within_a_second(
        self, service: RunningService, elsewhere: RunningService
    ) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        wait_until(lambda: elsewhere.client.get("/v1/items/new").status_code == 200, seconds=1)
        elsewhere.client.patch("/v1/items/new", json={"hidden": True})
        wait_until(lambda: service.get("/v1/items/new")["hidden"], seconds=1)
        service.client.delete("/v1/items/new")
        wait_until(lambda: elsewhere.client.get("/v1/items/new").status_code == 404, seconds=1)
        service.post("/v1/items:batch", {"items": [{"item_id": f"e{i}"} for i in range(700)]})
        wait_until(lambda: elsewhere.client.get("/v1/items/e699").status_code == 200, seconds=1)

    def test_a_service_that_starts_later_knows_it_from_redis(
        self, service: RunningService, tmp_path: Path, redis_url: str
    ) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        with RunningService(tmp_path / "later", redis_url) as later:
            assert later.get("/v1/items/new")["title"] == WHOLE["title"]


class TestLists:
    @pytest.mark.parametrize(
        "body",
        [
            {"hidden": True},
            {"published_at": None, "expires_at": "2020-01-01T00:00:00Z"},
            {"published_at": "2100-01-01T00:00:00Z"},
            None,
        ],
        ids=["hidden", "expired", "not published yet", "deleted"],
    )
    def test_an_item_not_to_be_shown_leaves_lists_that_are_cached_too(
        self, service: RunningService, elsewhere: RunningService, body: Any
    ) -> None:
        elsewhere.publish(version=service.registry.champion())
        wait_until(lambda: elsewhere.client.get("/readyz").status_code == 200)
        top = ids(service.recommend("u001"))[0]
        assert top in ids(elsewhere.recommend("u001"))
        address = f"/v1/items/{top}"
        changed = service.client.delete(address) if body is None else service.client.patch(address, json=body)
        assert changed.status_code in {200, 204}
        assert top not in ids(service.recommend("u001"))
        assert len(service.recommend("u001")["items"]) == 20
        wait_until(lambda: top not in ids(elsewhere.recommend("u001")), seconds=1)
        service.client.put(address, json={"categories": ["cooking"]})
        assert service.client.get(address).status_code == 200


class TestRedisAway:
    def test_changes_are_refused_and_items_still_read(
        self, service: RunningService, redis_server: RedisProcess
    ) -> None:
        service.client.put("/v1/items/new", json=WHOLE)
        redis_server.kill()
        for answer in (
            service.client.put("/v1/items/new", json={}),
            service.client.patch("/v1/items/new", json={}),
            service.client.delete("/v1/items/new"),
            service.client.post("/v1/items:batch", json={"items": [{"item_id": "x"}]}),
        ):
            assert answer.status_code == 503
            assert "Retry-After" in answer.headers
        assert service.get("/v1/items/new")["title"] == WHOLE["title"]
        wait_until(lambda: service.get("/readyz")["checks"]["live_data"]["status"] == "degraded")
        assert "as of 20" in service.get("/readyz")["checks"]["live_data"]["detail"]

    def test_a_service_that_starts_meanwhile_reads_the_files_and_is_ready(
        self, tmp_path: Path, redis_server: RedisProcess
    ) -> None:
        first = RunningService(tmp_path, redis_server.url)
        first.publish()
        with first:
            first.client.put("/v1/items/new", json=WHOLE)
            first.client.delete("/v1/items/v001")
        redis_server.kill()
        with RunningService(tmp_path, redis_server.url) as second:
            ready = second.get("/readyz")
            assert ready["checks"]["live_data"]["status"] == "degraded"
            assert second.get("/v1/items/new")["title"] == WHOLE["title"]
            assert second.client.get("/v1/items/v001").status_code == 404

    def test_a_service_that_starts_meanwhile_without_files_is_not_ready_until_redis_comes(
        self, tmp_path: Path, redis_server: RedisProcess
    ) -> None:
        redis_server.kill()
        service = RunningService(tmp_path, redis_server.url)
        service.publish()
        with service:
            answer = service.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["live_data"]["status"] == "failed"
            redis_server.start()
            wait_until(lambda: service.client.get("/readyz").status_code == 200)


class TestScopes:
    def test_reading_needs_read_and_changing_needs_admin(self, tmp_path: Path, redis_url: str) -> None:
        keys = "reader-key-0123456789:read owner-key-01234567890:admin"
        service = RunningService(tmp_path, redis_url, api_keys=keys)
        service.publish()
        with service:
            reader = {"Authorization": "Bearer reader-key-0123456789"}
            owner = {"Authorization": "Bearer owner-key-01234567890"}
            assert service.client.get("/v1/items/v001").status_code == 401
            assert service.client.get("/v1/items/v001", headers=reader).status_code == 200
            for method, address in [
                ("PUT", "/v1/items/x"),
                ("PATCH", "/v1/items/x"),
                ("DELETE", "/v1/items/x"),
                ("POST", "/v1/items:batch"),
            ]:
                assert service.client.request(method, address, json={}, headers=reader).status_code == 403
            assert service.client.put("/v1/items/x", json={}, headers=owner).status_code == 201


def test_beyond_a_million_items_new_ones_are_refused_and_known_ones_still_changed(
    service: RunningService, redis_url: str
) -> None:
    service.client.put("/v1/items/known", json={})
    # In parts, so that the service never waits for Redis so long that it goes on without.
    fill = "for i = ARGV[1], ARGV[1] + 9999 do redis.call('HSET', KEYS[1], i, '') end"
    with redis.Redis.from_url(redis_url) as client:
        for start in range(0, 1_000_000, 10_000):
            client.eval(fill, 1, "{live}:items", start)
        client.hdel("{live}:items", "0")
    refused = service.client.put("/v1/items/new", json={})
    assert refused.status_code == 507
    assert refused.json()["type"] == "urn:recsvc:problem:catalogue-full"
    assert service.client.patch("/v1/items/v001", json={}).status_code == 507
    assert service.client.delete("/v1/items/v001").status_code == 507
    batch = service.post("/v1/items:batch", {"items": [{"item_id": "new"}, {"item_id": "known"}]})["results"]
    assert (batch[0]["item_id"], batch[0]["status"], batch[0]["problem"]["status"]) == ("new", "rejected", 507)
    assert batch[1]["status"] == "replaced"
    assert service.client.patch("/v1/items/known", json={"hidden": True}).status_code == 200
