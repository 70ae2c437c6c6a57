"""A Redis of each test's own: the workers take every partition there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.redis_process import RedisProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    directory = tmp_path / "redis"
    directory.mkdir()
    process = RedisProcess(directory, "--appendonly", "yes", "--appendfsync", "always")
    process.start()
    yield process
    process.resume()
    process.kill()


@pytest.fixture
def client(server: RedisProcess) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected
