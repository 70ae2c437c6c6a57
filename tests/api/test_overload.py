"""More requests than can be answered in time: some are told so at once, the others are answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.running import RunningService


def test_lists_beyond_the_bound_are_refused_and_cached_ones_answered(tmp_path: Path, redis_url: str) -> None:
    running = RunningService(tmp_path, redis_url, max_computations=1)
    running.publish(n_users=200, n_items=20_000, n_factors=32)
    with running:
        running.recommend("u000")
        with ThreadPoolExecutor(24) as clients:
            paths = [f"/v1/users/u{number:03}/recommendations" for number in range(1, 120)]
            answers = list(clients.map(running.client.get, [*paths, "/v1/users/u000/recommendations"]))
        assert answers[-1].status_code == 200
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in refused:
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["type"] == "urn:recsvc:problem:overloaded"
        assert running.metric("recsvc_shed_requests_total") == len(refused)
        # What was refused is computed for whoever asks again.
        assert all(running.client.get(path).status_code == 200 for path in paths)


def test_requests_beyond_the_bound_are_refused_but_probes(tmp_path: Path, redis_url: str) -> None:
    running = RunningService(tmp_path, redis_url, max_requests_in_progress=8, max_computations=500)
    running.publish(n_users=200, n_items=20_000, n_factors=32)
    with running, ThreadPoolExecutor(64) as clients:
        limits = httpx.Limits(max_connections=100)
        with httpx.Client(base_url=running.client.base_url, timeout=30, limits=limits) as client:
            paths = [f"/v1/users/u{number:03}/recommendations" for number in range(160)]
            asked = clients.map(client.get, paths)
            probes = [client.get(path).status_code for path in ("/healthz", "/readyz", "/metrics") for _ in range(5)]
            statuses = [answer.status_code for answer in asked]
        assert set(probes) == {200}
        assert set(statuses) == {200, 503}
        assert running.metric("recsvc_shed_requests_total") == statuses.count(503)


def test_a_large_batch_is_no_overload(tmp_path: Path, redis_url: str) -> None:
    running = RunningService(tmp_path, redis_url, max_computations=8)
    running.publish(n_users=100)
    with running:
        answer = running.post("/v1/recommendations:batch", {"requests": [{"user_id": f"u{n:03}"} for n in range(100)]})
        assert all(len(result["items"]) == 20 for result in answer["results"])
