"""The worker processes that a service keeps."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import psutil
import pytest
import redis

from recsvc.store.keys import WORKERS_KEY
from recsvc.worker.supervisor import EventWorkers
from tests.redis_process import RedisProcess
from tests.running import wait_until


def _workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        try:
            if "recsvc.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def environment(tmp_path: Path, server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECSVC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECSVC_REDIS_URL", server.url)
    monkeypatch.setenv("RECSVC_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.usefixtures("environment")
def test_workers_run_are_replaced_when_they_die_and_end_with_their_keeper(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with EventWorkers(2), caplog.at_level(logging.WARNING):
        wait_until(lambda: client.hlen(WORKERS_KEY) == 2)
        victim = _workers()[0]
        victim.kill()
        wait_until(lambda: len(alive := _workers()) == 2 and victim.pid not in {process.pid for process in alive})
        wait_until(lambda: client.hlen(WORKERS_KEY) >= 2)
        running = _workers()

    assert "ended with status -9; starting it again" in caplog.text
    assert not any(process.is_running() for process in running)


def test_none_is_started_where_none_is_wanted() -> None:
    with EventWorkers(0):
        assert _workers() == []
