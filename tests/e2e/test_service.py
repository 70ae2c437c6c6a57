"""Two worker processes of one service: they share the cache, the key of the tokens, and the champion."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from recsvc.bundle.registry import Registry
from recsvc.tokens import TokenSigner, load_or_create_key
from tests.builders import publish_bundle
from tests.e2e.service_process import ServiceProcess, eventually, started


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    registry.promote(publish_bundle(registry.models_dir))
    return registry


@pytest.fixture
def service(registry: Registry, tmp_path: Path) -> Iterator[ServiceProcess]:
    with started(registry.models_dir, tmp_path, workers=2, redis_timeout_milliseconds=2000) as running:
        yield running


def ask(service: ServiceProcess, path: str) -> httpx.Response:
    """On a connection of its own, so that either worker may answer."""
    with service.client() as client:
        response = client.get(path)
    assert response.status_code == 200, response.text
    return response


def versions(service: ServiceProcess) -> set[str]:
    return {ask(service, "/v1/users/u001/recommendations").json()["model_version"] for _ in range(24)}


def test_a_stampede_on_one_user_computes_once_in_each_worker_at_most(service: ServiceProcess) -> None:
    # For a first page no process waits for another (docs/adr/0011): each of the two may compute it, once.
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: ask(service, "/v1/users/u003/recommendations").json(), range(64)))
    assert len({tuple(item["id"] for item in answer["items"]) for answer in answers}) == 1
    found = re.search(r"^recsvc_compute_seconds_count (\S+)$", ask(service, "/metrics").text, re.MULTILINE)
    assert found is not None
    assert 1 <= float(found[1]) <= 2


def test_tokens_of_every_worker_verify_with_the_one_key(service: ServiceProcess, tmp_path: Path) -> None:
    signer = TokenSigner([load_or_create_key(tmp_path / "state" / "token.key")])
    for _ in range(16):
        answer = ask(service, "/v1/users/u001/recommendations").json()
        token = signer.verify(answer["recommendation_id"], now=time.time(), max_age_seconds=3600)
        assert signer.is_of(token, "u001")
        assert token.model_version == answer["model_version"]


def test_every_worker_follows_a_promotion_and_a_rollback(service: ServiceProcess, registry: Registry) -> None:
    first = registry.champion()
    second = publish_bundle(registry.models_dir, seed=1)
    with service.client() as client:
        assert client.post(f"/v1/models/{second}:activate").status_code == 200
    assert eventually(lambda: versions(service) == {second})
    with service.client() as client:
        assert client.post("/v1/models:rollback").json() == {"active": first}
    assert eventually(lambda: versions(service) == {first})
