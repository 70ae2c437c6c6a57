"""Fixtures that more than one folder uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
import redis
from fastapi import FastAPI

from tests.http_server import serving
from tests.redis_process import RedisProcess


@pytest.fixture(scope="session")
def _redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    process.start()
    yield process
    process.kill()


@pytest.fixture
def redis_server(_redis_process: RedisProcess) -> Iterator[RedisProcess]:
    """A running Redis that the test may `kill()`, `start()`, `pause()` and `resume()`."""
    _redis_process.start()
    with redis.Redis.from_url(_redis_process.url) as client:
        # A service knows these whatever its directory.
        client.delete("{live}:items", "{live}:erasures", "{live}:changes", "{live}:erased")
        client.delete("{experiments}:definitions", "{experiments}:version", *client.keys("{experiments}:audit:*"))
    yield _redis_process
    _redis_process.resume()


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """The address of a running, empty-enough Redis: tests use user ids of their own."""
    return redis_server.url


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], httpx.Client]]:
    """Serves an app over real HTTP for the length of the test; gives a client of it."""
    with ExitStack() as opened:
        yield lambda app: opened.enter_context(serving(app))
