"""Recommendations that are made without the framework: what a plain request is, and that nothing tells the two ways
apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsvc.api.lean import ROUTE
from recsvc.api.plain import Asked, asked_by
from recsvc.serving.answer import Filters
from tests.api.experimenters import start
from tests.api.test_lean import assert_same
from tests.redis_process import RedisProcess
from tests.running import RunningService

PATH = b"/v1/users/u001/recommendations"
TARGET = PATH.decode("ascii")
LONG_WAY = {"unknown": "1"}
"""A parameter that says nothing and is not plain."""


class TestPlain:
    def test_defaults(self) -> None:
        assert asked_by(PATH, b"") == Asked("u001", Filters(), [])

    def test_every_parameter(self) -> None:
        query = b"fields=title%2Ccreator&cursor=c1.AB-_&limit=100&category=c0&exclude=a%26b&category=d+1&fields=title"
        filters = Filters(100, ("c0", "d 1"), ("a&b",), "c1.AB-_")
        assert asked_by(PATH, query) == Asked("u001", filters, ["title", "creator", "title"])

    def test_an_id_of_the_longest(self) -> None:
        longest = "a" * 128
        assert asked_by(f"/v1/users/{longest}/recommendations".encode(), b"") == Asked(longest, Filters(), [])

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/users/a/b/recommendations",
            "/v1/users//recommendations",
            "/v1/users/%75/recommendations",
            f"/v1/users/{'a' * 129}/recommendations",
            "/v1/users/u1/recommendations/",
            "/v2/users/u1/recommendations",
        ],
    )
    def test_other_paths_are_not(self, path: str) -> None:
        assert asked_by(path.encode("ascii"), b"") is None

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=%2B5",
            "limit=05",
            "limit=5&limit=5",
            "limit=",
            "LIMIT=5",
            "fields=name",
            "category=",
            f"category={'a' * 129}",
            "exclude=%00",
            "cursor=a&cursor=b",
            "limit=%D9%A5",
            "model=m",
            "unit_id=d1",
            "variant=x:y",
            "assigned=x:y",
            "other=1",
            "other",
            "&".join(["category=c"] * 21),
            "&".join(["exclude=c"] * 501),
        ],
    )
    def test_other_queries_are_not(self, query: str) -> None:
        assert asked_by(PATH, query.encode("latin-1")) is None


class TestTheSame:
    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"limit": 1},
            {"limit": 100},
            {"category": "cooking"},
            {"category": ["nothing", "a b"]},
            {"fields": "title,categories,creator,published_at"},
            {"fields": " , title"},
            {"exclude": ["v001", "é"]},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("user", ["u001", "u002", "nobody"])
    def test_answers_are_the_routes_but_for_the_token(
        self, service: RunningService, user: str, parameters: dict[str, Any]
    ) -> None:
        assert_same(without_framework(service, user, **parameters), service.recommend(user, **parameters, **LONG_WAY))

    def test_each_page_of_a_list(self, service: RunningService) -> None:
        cursor = service.recommend("u001", limit=5)["next_cursor"]
        plain = without_framework(service, "u001", limit=5, cursor=cursor)
        assert_same(plain, service.recommend("u001", limit=5, cursor=cursor, **LONG_WAY))

    def test_an_experiment(self, service: RunningService) -> None:
        start(service, "x")
        plain = without_framework(service, "u001")
        assert plain["experiments"]
        assert_same(plain, service.recommend("u001", **LONG_WAY))

    def test_headers(self, service: RunningService) -> None:
        answers = [
            service.client.get(TARGET, params=parameters, headers={"X-Request-Id": "mine-1"})
            for parameters in ({}, LONG_WAY)
        ]
        plain, routed = (dict(answer.headers.items()) for answer in answers)
        assert plain["x-request-id"] == "mine-1"
        assert list(plain) == list(routed)
        assert plain["content-type"] == routed["content-type"]

    @pytest.mark.parametrize("cursor", ["nonsense", "c1.AAAAAA"])
    def test_what_serving_refuses(self, service: RunningService, cursor: str) -> None:
        headers = {"X-Request-Id": "mine-1"}
        plain, routed = (
            service.client.get(TARGET, params={"cursor": cursor, **more}, headers=headers) for more in ({}, LONG_WAY)
        )
        assert plain.status_code == routed.status_code == 422
        assert plain.json() == routed.json()
        assert plain.json()["request_id"] == "mine-1"
        assert plain.headers["content-type"] == routed.headers["content-type"]

    def test_nothing_to_answer_with(self, tmp_path: Path, redis_url: str) -> None:
        with RunningService(tmp_path, redis_url) as running:
            headers = {"X-Request-Id": "mine-1"}
            plain, routed = (running.client.get(TARGET, params=more, headers=headers) for more in ({}, LONG_WAY))
            assert plain.status_code == routed.status_code == 503
            assert plain.json() == routed.json()
            assert plain.headers["retry-after"] == routed.headers["retry-after"]

    def test_what_nobody_foresaw(self, service: RunningService) -> None:
        async def fail(*_: Any) -> None:
            raise RuntimeError("not foreseen")

        service._server.config.app._lean._state.service.recommender.recommend = fail
        headers = {"X-Request-Id": "mine-1"}
        plain, routed = (service.client.get(TARGET, params=more, headers=headers) for more in ({}, LONG_WAY))
        assert plain.status_code == routed.status_code == 500
        assert plain.json() == routed.json()

    def test_redis_away(self, service: RunningService, redis_server: RedisProcess) -> None:
        redis_server.kill()
        assert_same(without_framework(service, "u001"), service.recommend("u001", **LONG_WAY))

    @pytest.mark.parametrize("status", [200, 422])
    def test_metrics(self, service: RunningService, status: int) -> None:
        names = [
            f'recsvc_requests_total{{method="GET",route="{ROUTE}",status="{status}"}}',
            f'recsvc_request_seconds_count{{method="GET",route="{ROUTE}"}}',
        ]
        counts = [[service.metric(name) for name in names]]
        bad = {} if status == 200 else {"cursor": "nonsense"}
        for more in ({}, LONG_WAY):
            assert service.client.get(TARGET, params={**bad, **more}).status_code == status
            counts.append([service.metric(name) for name in names])
        first, second, third = counts
        assert [after - before for before, after in zip(first, second, strict=True)] == [1, 1]
        assert [after - before for before, after in zip(second, third, strict=True)] == [1, 1]


class TestTheLongWay:
    def test_a_page_of_another_origin(self, tmp_path: Path, redis_url: str) -> None:
        running = RunningService(tmp_path, redis_url, cors_origins="https://shop.example")
        running.publish()
        with running:
            answer = running.client.get(TARGET, headers={"Origin": "https://shop.example"})
            others = [running.client.get(TARGET, params=more) for more in (LONG_WAY, {}, {}, {"cursor": "nonsense"})]
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert [other.headers.get("vary") for other in others] == ["Origin"] * 4  # no cache gives them to that page

    def test_keys(self, tmp_path: Path, redis_url: str) -> None:
        keys = "reader-0123456789abcdef:read writer-0123456789abcdef:events"
        running = RunningService(tmp_path, redis_url, api_keys=keys)
        running.publish()
        with running:
            asked = [None, "nonsense", "Bearer nonsense", *(f"Bearer {key.partition(':')[0]}" for key in keys.split())]
            answers = [
                running.client.get(TARGET, headers={} if value is None else {"Authorization": value}) for value in asked
            ]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 200, 403]
        assert answers[0].headers["www-authenticate"] == "Bearer"


def without_framework(service: RunningService, user: str, **parameters: Any) -> Any:
    """An answer that comes although the framework cannot be reached."""
    front = service._server.config.app
    framework, front._app = front._app, None
    try:
        return service.recommend(user, **parameters)
    finally:
        front._app = framework
