from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc.store.connection import connect
from recsvc.store.embedded import EmbeddedRedis
from recsvc.store.errors import StoreUnavailable
from recsvc.store.persistence import persistence_report
from tests.redis_process import RedisProcess


@pytest.fixture
def outside(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    process = RedisProcess(tmp_path, *request.param)
    process.start()
    yield process.url
    process.kill()


def report_of(url: str) -> list[str]:
    async def run() -> list[str]:
        connection = connect(url, timeout_milliseconds=1000)
        try:
            return await persistence_report(connection)
        finally:
            await connection.aclose()

    return asyncio.run(run())


def test_the_private_redis_promises_everything(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as redis:
        assert report_of(redis.url) == []


@pytest.mark.parametrize("outside", [["--appendonly", "no"]], indirect=True)
def test_no_append_only_file_is_reported(outside: str) -> None:
    assert [sentence.split(":")[0] for sentence in report_of(outside)] == ["appendonly is off"]


@pytest.mark.parametrize("outside", [["--appendonly", "yes", "--appendfsync", "everysec"]], indirect=True)
def test_a_lazy_append_only_file_is_reported(outside: str) -> None:
    assert [sentence.split(":")[0] for sentence in report_of(outside)] == ["appendfsync is everysec"]


@pytest.mark.parametrize(
    "outside",
    [["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "allkeys-lru"]],
    indirect=True,
)
def test_eviction_is_reported(outside: str) -> None:
    assert [sentence.split(":")[0] for sentence in report_of(outside)] == ["maxmemory-policy is allkeys-lru"]


@pytest.mark.parametrize("outside", [["--rename-command", "CONFIG", ""]], indirect=True)
def test_a_redis_that_hides_its_settings_is_reported_as_unknown(outside: str) -> None:
    assert [sentence.split(":")[0] for sentence in report_of(outside)] == ["persistence unknown"]


def test_no_redis_at_all_is_not_taken_for_a_weak_one(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        report_of(f"unix://{tmp_path}/nobody.sock")
