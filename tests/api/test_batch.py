"""Many users' requests in one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.running import RunningService, ids

PATH = "/v1/recommendations:batch"


def test_each_result_is_what_the_single_request_gets(service: RunningService) -> None:
    requests = [{"user_id": "u001", "limit": 3}, {"user_id": "nobody", "category": ["music"], "fields": ["title"]}]
    results = service.post(PATH, {"requests": requests})["results"]
    assert results[0]["items"] == service.recommend("u001", limit=3)["items"]
    assert results[1]["items"] == service.recommend("nobody", category="music", fields="title")["items"]


def test_distinct_gives_no_item_twice(service: RunningService) -> None:
    requests = [{"user_id": user, "limit": 30} for user in ("nobody", "nobody-else", "u001", "u001", "u002")]
    plain = service.post(PATH, {"requests": requests})["results"]
    assert ids(plain[0]) == ids(plain[1])
    results = service.post(PATH, {"requests": requests, "distinct": True})["results"]
    shown = [item for result in results for item in ids(result)]
    assert len(set(shown)) == len(shown) == 150


def test_distinct_that_runs_out_of_items_says_filters(service: RunningService) -> None:
    requests = [{"user_id": f"n{number}", "limit": 100} for number in range(4)]
    results = service.post(PATH, {"requests": requests, "distinct": True})["results"]
    assert [len(result["items"]) for result in results] == [100, 100, 100, 0]
    assert [result["degraded"] for result in results] == [[], [], [], ["filters"]]


def test_a_wrong_element_gets_a_problem_in_its_place(service: RunningService) -> None:
    requests: list[Any] = [
        {"user_id": "u001", "limit": 1},
        {"user_id": "u001", "limit": 0, "colour/~": 1},
        "u001",
        {"user_id": "u001", "cursor": "no"},
        {"user_id": "u001", "model": "no"},
    ]
    results = service.post(PATH, {"requests": requests})["results"]
    assert len(results[0]["items"]) == 1
    problems = [result["problem"] for result in results[1:]]
    assert all(
        problem["status"] == 422 and problem["type"] == "urn:recsvc:problem:invalid-request" for problem in problems
    )
    assert [[error["pointer"] for error in problem["errors"]] for problem in problems] == [
        ["#/requests/1/limit", "#/requests/1/colour~1~0"],
        ["#/requests/2"],
        ["#/requests/3/cursor"],
        ["#/requests/4/model"],
    ]


def test_a_corrupt_version_spoils_its_own_element_only(service: RunningService) -> None:
    broken = service.publish(promote=False, seed=5)
    (service.models_dir / broken / "gram.npy").unlink()
    results = service.post(PATH, {"requests": [{"user_id": "u001", "model": broken}, {"user_id": "u001"}]})["results"]
    assert results[0]["problem"]["status"] == 409
    assert "gram.npy" in results[0]["problem"]["detail"]
    assert len(results[1]["items"]) == 20


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/requests"),
        ({"requests": []}, "#/requests"),
        ({"requests": [{"user_id": "u"}] * 101}, "#/requests"),
        ({"requests": {"user_id": "u"}}, "#/requests"),
        ({"requests": [{"user_id": "u"}], "distinct": "yes"}, "#/distinct"),
        ({"requests": [{"user_id": "u"}], "colour": 1}, "#/colour"),
    ],
)
def test_a_wrong_body_is_a_422_problem_with_a_pointer(service: RunningService, body: Any, pointer: str) -> None:
    answer = service.client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
