from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.small_app import small_app
from tests.http_server import serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(small_app()) as client:
        yield client


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document, which is one only if it has all its members."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(document)
    assert document["status"] == status
    assert document["type"].startswith("urn:recsvc:problem:")
    assert document["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    return document


class TestMapping:
    @pytest.mark.parametrize(
        ("name", "status", "kind"),
        [
            ("item", 404, "item-unknown"),
            ("parameter", 422, "invalid-request"),
            ("not-ready", 503, "not-ready"),
            ("version", 404, "model-unknown"),
            ("corrupt", 409, "model-corrupt"),
            ("format", 409, "model-format"),
            ("rollback", 409, "nothing-to-roll-back-to"),
            ("store", 503, "not-ready"),
            ("bundle", 500, "internal"),
            ("bug", 500, "internal"),
        ],
    )
    def test_each_error_has_its_status_and_type(self, client: httpx.Client, name: str, status: int, kind: str) -> None:
        document = problem(client.get(f"/raise/{name}"), status)
        assert document["type"] == f"urn:recsvc:problem:{kind}"
        assert document["instance"] == f"/raise/{name}"

    def test_unavailable_says_when_to_come_back(self, client: httpx.Client) -> None:
        assert client.get("/raise/not-ready").headers["retry-after"] == "7"
        assert client.get("/raise/store").headers["retry-after"] == "1"

    def test_a_corrupt_bundle_is_named_without_the_path_on_our_disk(self, client: httpx.Client) -> None:
        assert "20260101T000000Z-000000/gram.npy" in problem(client.get("/raise/corrupt"), 409)["detail"]

    def test_an_unknown_address_and_a_wrong_method(self, client: httpx.Client) -> None:
        problem(client.get("/nothing/here"), 404)
        response = client.delete("/batch")
        problem(response, 405)
        assert response.headers["allow"] == "POST"

    def test_the_instance_is_a_valid_reference_whatever_the_path(self, client: httpx.Client) -> None:
        document = problem(client.get("/nothing/%C3%A9%20%22%0A"), 404)
        assert document["instance"] == "/nothing/%C3%A9%20%22%0A"


class TestUnforeseen:
    def test_the_log_has_the_reason_under_the_request_id(
        self, client: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            response = client.get("/raise/bug", headers={"X-Request-Id": "find-me"})
        assert problem(response, 500)["request_id"] == "find-me"
        [record] = [record for record in caplog.records if getattr(record, "request_id", "") == "find-me"]
        assert record.exc_info is not None
        assert "secret arithmetic" in str(record.exc_info[1])

    def test_half_an_answer_is_broken_off_not_ended(self, client: httpx.Client) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/half")


class TestPointers:
    @pytest.mark.parametrize(
        ("query", "pointers"),
        [
            ("limit=0", ["#/query/limit"]),
            ("limit=many", ["#/query/limit"]),
            ("limit=101&category=a&category=b&category=c&category=d", ["#/query/limit", "#/query/category"]),
        ],
    )
    def test_query_parameters(self, client: httpx.Client, query: str, pointers: list[str]) -> None:
        document = problem(client.get(f"/users/u1?{query}"), 422)
        assert [error["pointer"] for error in document["errors"]] == pointers

    def test_path_parameters(self, client: httpx.Client) -> None:
        document = problem(client.get("/users/much-too-long"), 422)
        assert [error["pointer"] for error in document["errors"]] == ["#/path/user_id"]

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ({"requests": [{"user_id": "u"}, {"user_id": "u", "limit": "x"}]}, ["#/requests/1/limit"]),
            ({"requests": [{}, {"user_id": 3}]}, ["#/requests/0/user_id", "#/requests/1/user_id"]),
            ({}, ["#/requests"]),
            ([], ["#"]),
            ("text", ["#"]),
            (None, ["#"]),
        ],
    )
    def test_the_body(self, client: httpx.Client, body: Any, pointers: list[str]) -> None:
        document = problem(client.post("/batch", content=json.dumps(body), headers=JSON), 422)
        assert [error["pointer"] for error in document["errors"]] == pointers
        assert all(error["detail"] for error in document["errors"])

    def test_ten_thousand_problems_do_not_make_a_giant_answer(self, client: httpx.Client) -> None:
        response = client.post("/batch", json={"requests": [{}] * 10_000})
        document = problem(response, 422)
        assert len(document["errors"]) == 50
        assert document["detail"].startswith("10000 problems; the first is #/requests/0/user_id")


class TestUnreadableBodies:
    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            (b'{"requests": [', "not valid JSON at character 14"),
            (b"", ""),
            (b'{"requests": [{"user_id": "\xff"}]}', "not UTF-8"),
            (b'{"requests": [{"user_id": "u", "weight": NaN}]}', "NaN is no JSON number"),
            (b'{"requests": [], "other": -Infinity}', "-Infinity is no JSON number"),
            (b'{"requests": [{"user_id": "u", "weight": 1e999}]}', "out of range"),
            (b'{"requests": [{"user_id": "u", "limit": ' + b"9" * 5000 + b"}]}", "integer"),
            (b'{"requests": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
            (b"\xef\xbb\xbf{}", ""),
        ],
    )
    def test_each_is_a_422_at_the_root(self, client: httpx.Client, body: bytes, detail: str) -> None:
        document = problem(client.post("/batch", content=body, headers=JSON), 422)
        assert [error["pointer"] for error in document["errors"]] == ["#"]
        assert detail in document["errors"][0]["detail"]

    def test_a_lone_surrogate_does_not_break_the_answer(self, client: httpx.Client) -> None:
        body = b'{"requests": [{"user_id": "u", "limit": "\\ud800"}]}'
        document = problem(client.post("/batch", content=body, headers=JSON), 422)
        assert document["errors"][0]["pointer"] == "#/requests/0/limit"

    def test_a_huge_integer_in_the_query(self, client: httpx.Client) -> None:
        document = problem(client.get(f"/users/u1?limit={'9' * 5000}"), 422)
        assert document["errors"][0]["pointer"] == "#/query/limit"

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain"])
    def test_another_content_type_is_told_which_to_send(self, client: httpx.Client, content_type: str) -> None:
        response = client.post("/batch", content=b'{"requests": []}', headers={"Content-Type": content_type})
        assert "Content-Type: application/json" in problem(response, 415)["detail"]
