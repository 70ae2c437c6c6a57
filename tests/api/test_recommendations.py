"""Lists of users: full, fresh, explained, filtered, and cut into pages that never repeat."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from recsvc.bundle.types import Bundle, ItemRow
from tests.api.conftest import consumed
from tests.redis_process import RedisProcess
from tests.running import RunningService, ids, wait_until

COMPUTATIONS = "recsvc_compute_seconds_count"


def pages(service: RunningService, user: str, **parameters: object) -> list[list[str]]:
    """Every page of a list, to its end."""
    found: list[list[str]] = []
    cursor = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = service.recommend(user, **more, **parameters)
        found.append(ids(answer))
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def settled(redis_server: RedisProcess, user: str) -> None:
    """Waits until the list that was computed for the user is written."""
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        wait_until(lambda: list(client.scan_iter(f"*:rec:{user}")))


class TestKnownUser:
    def test_list_is_full_without_repeats_and_without_consumed_items(
        self, service: RunningService, bundle: Bundle
    ) -> None:
        for user in ("u000", "u017", "u039"):
            answer = service.recommend(user, limit=100)
            assert len(set(ids(answer))) == 100
            assert not set(ids(answer)) & consumed(bundle, user)
            assert answer["degraded"] == []

    def test_consumed_items_never_come_to_the_very_end_of_the_list(
        self, service: RunningService, bundle: Bundle
    ) -> None:
        everything = [item for page in pages(service, "u003", limit=100) for item in page]
        assert set(everything) == set(bundle.items) - consumed(bundle, "u003")

    def test_als_items_are_explained_by_the_users_own_items(self, service: RunningService, bundle: Bundle) -> None:
        answer = service.recommend("u001", limit=10)
        assert {item["source"] for item in answer["items"]} == {"als"}
        for item in answer["items"]:
            assert item["reason"]["type"] == "because_of"
            assert 1 <= len(item["reason"]["items"]) <= 2
            assert set(item["reason"]["items"]) <= consumed(bundle, "u001")

    def test_cached_answer_is_the_computed_one(self, service: RunningService) -> None:
        first = service.recommend("u002", limit=50)
        computed = service.metric(COMPUTATIONS)
        again = service.recommend("u002", limit=50)
        assert again["items"] == first["items"]
        assert again["recommendation_id"] != first["recommendation_id"]
        assert service.metric(COMPUTATIONS) == computed
        assert service.metric('recsvc_cache_total{outcome="hit"}') == 1

    def test_damaged_cache_entry_is_computed_again(
        self, elsewhere: RunningService, service: RunningService, redis_server: RedisProcess
    ) -> None:
        import redis

        with redis.Redis.from_url(redis_server.url) as client:
            # Lists of other tests' models must not be taken for this one's.
            client.delete("none", *client.scan_iter("*:rec:u004"))
            # This process keeps the answer itself, so another one is asked.
            first = elsewhere.recommend("u004")
            settled(redis_server, "u004")
            (key,) = client.scan_iter("*:rec:u004")
            for digest, value in client.hgetall(key).items():
                client.hset(key, digest, value[:14] + b"cl\x02\x00 not a list")
        computed = service.metric(COMPUTATIONS)
        # For a moment the list is still at hand.
        wait_until(
            lambda: (
                service.recommend("u004")["items"] == first["items"] and service.metric(COMPUTATIONS) == computed + 1
            )
        )

    def test_stampede_computes_once(self, service: RunningService) -> None:
        with ThreadPoolExecutor(24) as clients:
            answers = list(clients.map(lambda _: service.recommend("u005"), range(48)))
        assert {tuple(ids(answer)) for answer in answers} == {tuple(ids(answers[0]))}
        assert service.metric(COMPUTATIONS) == 1

    def test_fields_come_when_asked_for(self, service: RunningService, bundle: Bundle) -> None:
        plain = service.recommend("u001", limit=1)["items"][0]
        assert set(plain) == {"id", "score", "source", "reason"}
        full = service.recommend("u001", limit=1, fields=["title,categories", "creator", "published_at"])["items"][0]
        row = bundle.items.row_of(full["id"])
        assert row is not None
        assert full["title"] == bundle.catalogue.title(ItemRow(row))
        assert full["creator"] == bundle.catalogue.creator(ItemRow(row))
        assert full["categories"] == bundle.catalogue.categories_of(ItemRow(row))
        assert full["published_at"].endswith("Z")
        assert len(full["reason"]["titles"]) == len(full["reason"]["items"])


class TestUnknownUser:
    def test_gets_a_full_first_screen_of_every_category(self, service: RunningService) -> None:
        answer = service.recommend("nobody-knows-me", limit=8)
        assert len(set(ids(answer))) == 8
        reasons = [item["reason"] for item in answer["items"]]
        assert {reason["type"] for reason in reasons} == {"trending", "popular"}
        assert {reason["category"] for reason in reasons[:4]} == {"cooking", "music", "sport", "travel"}
        assert answer["degraded"] == []

    def test_leaves_no_key_in_redis(self, service: RunningService, redis_server: RedisProcess) -> None:
        import redis

        with redis.Redis.from_url(redis_server.url) as client:
            for number in range(20):
                service.recommend(f"stranger-{number}")
            assert list(client.scan_iter("*stranger*")) == []
        assert service.metric(COMPUTATIONS) == 1

    @pytest.mark.parametrize("user", ["a/b", "50%", "ünï çødé", "?#&=", "a/recommendations", "x/../y", "+", "\ufffd"])
    def test_any_printable_id_works_in_the_path(self, service: RunningService, user: str) -> None:
        answer = service.client.get(f"/v1/users/{quote(user, safe='')}/recommendations?limit=1")
        assert answer.status_code == 200
        assert answer.json()["user_id"] == user


class TestWithoutTimes:
    def test_popular_items_stand_in_for_trending_and_the_answer_says_so(self, service: RunningService) -> None:
        service.client.post(f"/v1/models/{service.publish(promote=False, has_time=False)}:activate")
        answer = service.recommend("nobody", limit=5)
        assert {item["source"] for item in answer["items"]} == {"popular"}
        assert answer["degraded"] == ["trending"]
        assert service.recommend("u001", limit=5)["degraded"] == []


class TestFilters:
    @pytest.mark.parametrize("user", ["u001", "nobody"])
    def test_category_means_any_of_them(self, service: RunningService, user: str) -> None:
        answer = service.recommend(user, limit=60, category=["music", "sport"], fields="categories")
        assert len(answer["items"]) == 60
        seen = {category for item in answer["items"] for category in item["categories"]}
        assert seen == {"music", "sport"}

    @pytest.mark.parametrize("user", ["u001", "nobody"])
    def test_unknown_category_gives_an_empty_list_that_says_why(self, service: RunningService, user: str) -> None:
        answer = service.recommend(user, category="no such thing")
        assert answer["items"] == []
        assert answer["degraded"] == ["filters"]
        assert answer["next_cursor"] is None

    @pytest.mark.parametrize("user", ["u001", "nobody"])
    def test_excluded_items_do_not_come_and_the_list_stays_full(self, service: RunningService, user: str) -> None:
        first = service.recommend(user, limit=50)
        rest = service.recommend(user, limit=50, exclude=ids(first))
        assert len(rest["items"]) == 50
        assert not set(ids(rest)) & set(ids(first))

    def test_exclusion_of_all_that_is_cached_computes_a_deeper_list(
        self, service: RunningService, bundle: Bundle
    ) -> None:
        page = [item for page in pages(service, "u001", limit=100) for item in page][:250]
        answer = service.recommend("u001", limit=10, exclude=page)
        assert len(answer["items"]) == 10
        assert not set(ids(answer)) & set(page)

    def test_exclusion_shares_the_cached_list(self, service: RunningService) -> None:
        first = service.recommend("u006")
        service.recommend("u006", exclude=ids(first)[:3])
        assert service.metric(COMPUTATIONS) == 1


class TestPaging:
    @pytest.mark.parametrize("user", ["u001", "nobody"])
    def test_pages_together_are_the_one_long_list(self, service: RunningService, user: str) -> None:
        small = [item for page in pages(service, user, limit=7) for item in page]
        large = [item for page in pages(service, user, limit=100) for item in page]
        assert small == large
        assert len(set(small)) == len(small)

    def test_last_page_says_that_the_list_ends(self, service: RunningService, bundle: Bundle) -> None:
        cursor = None
        while True:
            answer = service.recommend("u001", limit=80, **({"cursor": cursor} if cursor else {}))
            cursor = answer["next_cursor"]
            if cursor is None:
                break
            assert answer["degraded"] == []
        assert len(answer["items"]) < 80
        assert answer["degraded"] == ["end_of_list"]

    @pytest.mark.parametrize("user", ["u001", "nobody"])
    def test_no_item_comes_again_when_the_model_changes_between_pages(self, service: RunningService, user: str) -> None:
        first = service.recommend(user, limit=60)
        other = service.publish(seed=7)
        wait_until(lambda: service.recommend(user)["model_version"] == other)
        second = service.recommend(user, limit=60, cursor=first["next_cursor"])
        third = service.recommend(user, limit=60, cursor=second["next_cursor"])
        shown = ids(first) + ids(second) + ids(third)
        assert second["model_version"] == other
        assert len(set(shown)) == len(shown) == 180

    def test_cursor_of_other_categories_is_refused(self, service: RunningService) -> None:
        cursor = service.recommend("u001", category="music")["next_cursor"]
        refused = service.client.get("/v1/users/u001/recommendations", params={"cursor": cursor, "category": "sport"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/query/cursor"

    def test_order_of_categories_does_not_matter_to_a_cursor(self, service: RunningService) -> None:
        first = service.recommend("u001", category=["music", "sport"])
        second = service.recommend("u001", category=["sport", "music"], cursor=first["next_cursor"])
        assert not set(ids(first)) & set(ids(second))


class TestModelParameter:
    def test_any_version_of_the_registry_answers(self, service: RunningService) -> None:
        champion = service.recommend("u001")["model_version"]
        other = service.publish(seed=3, promote=False)
        assert service.recommend("u001", model=other)["model_version"] == other
        assert service.recommend("u001")["model_version"] == champion

    def test_cursor_goes_on_in_another_version_without_repeats(self, service: RunningService) -> None:
        other = service.publish(seed=3, promote=False)
        first = service.recommend("u001", limit=100)
        second = service.recommend("u001", limit=100, cursor=first["next_cursor"], model=other)
        assert not set(ids(first)) & set(ids(second))


class TestWithoutRedis:
    def test_every_answer_is_200_and_says_cache_until_redis_is_back(
        self, service: RunningService, redis_server: RedisProcess
    ) -> None:
        before = service.recommend("u007")
        settled(redis_server, "u007")
        redis_server.kill()
        during = [service.recommend("u007") for _ in range(12)]
        assert {tuple(answer["degraded"]) for answer in during} == {("cache",)}
        assert all(answer["items"] == before["items"] for answer in during)
        assert service.recommend("nobody")["degraded"] == ["cache"]
        redis_server.start()
        wait_until(lambda: service.recommend("u007")["degraded"] == [])
        computed = service.metric(COMPUTATIONS)
        service.recommend("u007")
        assert service.metric(COMPUTATIONS) == computed

    def test_a_redis_that_hangs_is_not_waited_for(self, service: RunningService, redis_server: RedisProcess) -> None:
        redis_server.pause()
        answer = service.recommend("u008")
        assert answer["degraded"] == ["cache"]
        assert len(answer["items"]) == 20


class TestBadParameters:
    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("limit=0", "#/query/limit"),
            ("limit=101", "#/query/limit"),
            ("limit=many", "#/query/limit"),
            ("category=", "#/query/category/0"),
            ("category=a&category=%00", "#/query/category/1"),
            ("&".join(f"category={n}" for n in range(21)), "#/query/category"),
            ("&".join(f"exclude={n}" for n in range(501)), "#/query/exclude"),
            (f"exclude={'x' * 129}", "#/query/exclude/0"),
            ("fields=title,colour", "#/query/fields"),
            ("cursor=", "#/query/cursor"),
            ("cursor=c1.AAAA", "#/query/cursor"),
            ("cursor=c1.%C3%A9", "#/query/cursor"),
            ("cursor=c2.AAAAAAAA", "#/query/cursor"),
            ("model=..", "#/query/model"),
            ("model=20200101T000000Z-abcdef", "#/query/model"),
        ],
    )
    def test_is_a_422_problem_with_a_pointer(self, service: RunningService, query: str, pointer: str) -> None:
        answer = service.client.get(f"/v1/users/u001/recommendations?{query}")
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]

    @pytest.mark.parametrize("user", ["", "%00", "%7f", "%C2%85", "x" * 129, "%FF", "%ED%A0%80"])
    def test_bad_user_id_is_a_422_problem_with_a_pointer(self, service: RunningService, user: str) -> None:
        answer = service.client.get(f"/v1/users/{user}/recommendations")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/path/user_id"
