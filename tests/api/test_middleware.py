from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from recsvc.telemetry import Telemetry
from tests.api.small_app import small_app

Serve = Callable[[FastAPI], httpx.Client]
ORIGIN = "https://app.example"
KEY = "0123456789abcdef"


def chunks(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * size


class TestRequestId:
    def test_the_callers_own_is_echoed(self, serve: Serve) -> None:
        response = serve(small_app()).get("/users/u1", headers={"X-Request-Id": "trace-7/a"})
        assert response.headers.get_list("x-request-id") == ["trace-7/a"]

    @pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "<script>", b"\xe9"])
    def test_one_that_is_not_sane_is_replaced(self, serve: Serve, sent: Any) -> None:
        response = serve(small_app()).get("/users/u1", headers={"X-Request-Id": sent})
        [given] = response.headers.get_list("x-request-id")
        assert len(given) == 16
        assert given.isalnum()

    def test_every_request_gets_another(self, serve: Serve) -> None:
        client = serve(small_app())
        assert len({client.get("/users/u1").headers["x-request-id"] for _ in range(50)}) == 50

    @pytest.mark.parametrize("path", ["/users/u1", "/nothing", "/raise/bug", "/users/u1?limit=0", "/docs"])
    def test_every_answer_has_one(self, serve: Serve, path: str) -> None:
        assert serve(small_app()).get(path).headers["x-request-id"]


class TestBodyLimit:
    @pytest.mark.parametrize("size", [2048, 2049, 3_000_000])
    def test_a_body_that_announces_its_size(self, serve: Serve, size: int) -> None:
        response = serve(small_app(max_body_bytes=2048)).post(
            "/batch", content=b'{"requests": []}'.ljust(size), headers={"Content-Type": "application/json"}
        )
        assert response.status_code == (200 if size <= 2048 else 413)

    @pytest.mark.parametrize("count", [7, 8, 9, 3000])
    def test_a_body_that_comes_in_chunks(self, serve: Serve, count: int) -> None:
        body = iter([b'{"requests": []}'.ljust(256), *chunks(256, count - 1)])
        response = serve(small_app(max_body_bytes=2048)).post(
            "/batch", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == (200 if count <= 8 else 413)

    def test_the_answer_is_a_problem_that_names_the_limit(self, serve: Serve) -> None:
        response = serve(small_app(max_body_bytes=2048)).post("/batch", content=b" " * 4096)
        assert response.headers["content-type"] == "application/problem+json"
        assert "2048 bytes" in response.json()["detail"]

    @pytest.mark.parametrize("announced", ["1000001", "9999999999999999999"])
    def test_a_body_that_is_only_announced_is_refused_before_it_comes(self, serve: Serve, announced: str) -> None:
        client = serve(small_app(max_body_bytes=1_000_000))
        with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as raw:
            head = f"POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\nExpect: 100-continue\r\n\r\n"
            raw.sendall(head.encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 413")


class TestCors:
    @pytest.fixture
    def client(self, serve: Serve) -> httpx.Client:
        return serve(small_app(cors_origins=ORIGIN, api_keys=f"{KEY}:read", max_body_bytes=1024))

    def test_a_preflight_is_answered_with_what_is_allowed(self, client: httpx.Client) -> None:
        asks = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, x-request-id",
        }
        response = client.options("/batch", headers=asks)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in response.headers["access-control-allow-methods"]
        assert response.headers["x-request-id"]

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/users/u1", 200), ("/scoped/x", 401), ("/nothing", 404), ("/users/u1?limit=0", 422), ("/raise/bug", 500)],
    )
    def test_a_page_may_read_every_answer_and_its_request_id(
        self, client: httpx.Client, path: str, status: int
    ) -> None:
        response = client.get(path, headers={"Origin": ORIGIN})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Request-Id" in response.headers["access-control-expose-headers"]

    def test_a_413_is_no_exception(self, client: httpx.Client) -> None:
        response = client.post("/batch", content=b" " * 2048, headers={"Origin": ORIGIN})
        assert response.status_code == 413
        assert response.headers["access-control-allow-origin"] == ORIGIN

    def test_other_origins_are_not_allowed(self, client: httpx.Client) -> None:
        response = client.get("/users/u1", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in response.headers

    def test_without_origins_there_are_no_cors_headers(self, serve: Serve) -> None:
        response = serve(small_app()).get("/users/u1", headers={"Origin": ORIGIN})
        assert not [name for name in response.headers if name.startswith("access-control")]


class TestMetrics:
    @staticmethod
    def count(telemetry: Telemetry, method: str, route: str, status: str) -> float | None:
        labels = {"method": method, "route": route, "status": status}
        return telemetry.registry.get_sample_value("recsvc_requests_total", labels)

    def test_requests_count_under_the_routes_template_never_the_path(self, serve: Serve) -> None:
        telemetry = Telemetry()
        client = serve(small_app(telemetry))
        for user in ("u1", "u2", "u3"):
            client.get(f"/users/{user}")
        client.get("/users/u1?limit=0")
        client.get("/raise/bug")
        for path in ("/nothing", "/else"):
            client.get(path)
        assert self.count(telemetry, "GET", "/users/{user_id}", "200") == 3
        assert self.count(telemetry, "GET", "/users/{user_id}", "422") == 1
        assert self.count(telemetry, "GET", "/raise/{name}", "500") == 1
        assert self.count(telemetry, "GET", "unmatched", "404") == 2
        assert telemetry.registry.get_sample_value("recsvc_requests_in_progress") == 0

    def test_a_method_of_the_callers_invention_makes_no_series_of_its_own(self, serve: Serve) -> None:
        telemetry = Telemetry()
        serve(small_app(telemetry)).request("PROPFIND", "/users/u1")
        assert self.count(telemetry, "OTHER", "/users/{user_id}", "405") == 1
        assert b"PROPFIND" not in telemetry.render()

    def test_render_is_prometheus_text(self, serve: Serve) -> None:
        telemetry = Telemetry()
        serve(small_app(telemetry)).get("/users/u1")
        text = telemetry.render().decode()
        assert 'recsvc_requests_total{method="GET",route="/users/{user_id}",status="200"} 1.0' in text
        assert 'recsvc_request_seconds_bucket{le="+Inf",method="GET",route="/users/{user_id}"} 1.0' in text
