"""What must not cost a request: a dead Redis, a promotion, a rollback, a bundle that is broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsvc.bundle.registry import Registry
from tests.builders import publish_bundle
from tests.e2e.service_process import started
from tests.redis_process import RedisProcess

WORKERS = 4


@dataclass
class Seen:
    """What the load saw: every answer's status, degraded list and model version, with its time."""

    answers: list[tuple[float, int, tuple[str, ...], str, dict[str, Any]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def between(self, start: float, end: float) -> list[tuple[float, int, tuple[str, ...], str, dict[str, Any]]]:
        return [answer for answer in self.answers if start <= answer[0] <= end]


@contextmanager
def load(url: str, users: int) -> Iterator[Seen]:
    """Four clients ask for many users until the block ends (two minutes at most)."""
    seen, stop, end = Seen(), threading.Event(), time.monotonic() + 120

    def client(number: int) -> None:
        with httpx.Client(base_url=url, timeout=10) as http:
            turn = number
            while not stop.is_set() and time.monotonic() < end:
                turn += WORKERS
                try:
                    response = http.get(f"/v1/users/u{turn % users:03}/recommendations", params={"limit": 10})
                except httpx.HTTPError as exc:
                    seen.errors.append(repr(exc))
                    continue
                body = response.json()
                seen.answers.append(
                    (
                        time.monotonic(),
                        response.status_code,
                        tuple(body.get("degraded", ())),
                        body.get("model_version", ""),
                        body,
                    )
                )

    threads = [threading.Thread(target=client, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come to pass in time"
        time.sleep(0.05)


@pytest.fixture
def models(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    for seed in (1, 2):
        registry.promote(publish_bundle(registry.models_dir, seed=seed, version=f"2026110{seed}T000000Z-00000{seed}"))
    return registry


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    directory = tmp_path / "redis"
    directory.mkdir()
    process = RedisProcess(directory)
    process.start()
    yield process
    process.kill()


def test_every_answer_is_200_while_redis_is_dead_and_caching_resumes(
    models: Registry, own_redis: RedisProcess, tmp_path: Path
) -> None:
    # 100 ms, not the default 50: four clients, the service and the tests share two cores.
    settings = {"redis_url": own_redis.url, "redis_timeout_milliseconds": 100}
    with started(models.models_dir, tmp_path, **settings) as service, load(service.url, users=40) as seen:
        wait_until(lambda: len(seen.answers) > 50)
        own_redis.kill()
        killed = time.monotonic()
        wait_until(lambda: len(seen.between(killed + 0.5, time.monotonic())) > 100)
        before_restart = time.monotonic()
        own_redis.start()
        wait_until(lambda: any("cache" not in answer[2] for answer in seen.between(before_restart, time.monotonic())))
        resumed = time.monotonic()
        wait_until(lambda: sum("cache" not in a[2] for a in seen.between(resumed, time.monotonic())) > 100)
    assert seen.errors == []
    assert {answer[1] for answer in seen.answers} == {200}
    assert {answer[2] for answer in seen.between(killed + 0.5, before_restart)} == {("cache",)}
    assert all(len(answer[4]["items"]) == 10 for answer in seen.answers)


def test_promoting_and_rolling_back_under_load_fails_no_request_and_mixes_no_answer(
    models: Registry, own_redis: RedisProcess, tmp_path: Path
) -> None:
    first, second = sorted(models.versions())
    with started(models.models_dir, tmp_path, redis_url=own_redis.url) as service:
        with load(service.url, users=40) as seen:
            wait_until(lambda: len(seen.answers) > 30)
            for expected in (first, second, first, second):
                # As `make rollback` and `make promote` do: in the registry, from another process.
                models.rollback() if expected == first else models.promote(second)
                wait_until(lambda version=expected: seen.answers[-1][3] == version)
        lists = {
            (version, user): httpx.get(
                f"{service.url}/v1/users/{user}/recommendations", params={"limit": 10, "model": version}
            ).json()["items"]
            for version in (first, second)
            for user in (f"u{n:03}" for n in range(40))
        }
    assert seen.errors == []
    assert {answer[1] for answer in seen.answers} == {200}
    assert {answer[3] for answer in seen.answers} == {first, second}
    for *_, version, body in seen.answers:
        assert [item["id"] for item in body["items"]] == [i["id"] for i in lists[version, body["user_id"]]]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_bundle_is_refused_by_name_and_the_one_in_use_stays(
    models: Registry, own_redis: RedisProcess, tmp_path: Path, damage: str
) -> None:
    first, second = sorted(models.versions())
    with started(models.models_dir, tmp_path, redis_url=own_redis.url) as service:
        file = models.models_dir / first / "item_factors.npy"
        content = bytearray(file.read_bytes())
        if damage == "remove":
            file.unlink()
        else:
            content[len(content) // 2] ^= 1
            file.write_bytes(bytes(content if damage == "flip" else content[:-8]))
        answer = httpx.post(f"{service.url}/v1/models/{first}:activate")
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert "item_factors.npy" in answer.json()["detail"]
        after = httpx.get(f"{service.url}/v1/users/u001/recommendations").json()
        assert after["model_version"] == second
        assert models.champion() == second
        # Promoted behind the service's back, it is refused as well.
        models.promote(first)
        time.sleep(1.5)
        after = httpx.get(f"{service.url}/v1/users/u001/recommendations").json()
        assert after["model_version"] == second
