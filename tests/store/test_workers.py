"""How the writing of events stands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from recsvc.eventlog.position import StreamId
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.keys import WORKERS_KEY, log_key
from recsvc.store.streams import DeadLetter, put_aside
from recsvc.store.workers import WorkerSummary, beat, worker_summary
from tests.redis_process import RedisProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path)
    process.start()
    yield process
    process.kill()


def test_summary_counts_live_workers_waiting_events_and_dead_letters(server: RedisProcess) -> None:
    with redis.Redis.from_url(server.url) as client:
        for partition, count in {0: 2, 7: 1, 255: 3}.items():
            for _ in range(count):
                client.xadd(log_key(partition), {"e": b"x"})
        client.hset(WORKERS_KEY, "long gone", 1)

    async def run(connection: RedisConnection) -> tuple[WorkerSummary, WorkerSummary]:
        before = await worker_summary(connection)
        await beat(connection, "w1")
        await put_aside(
            connection, {7: [DeadLetter(StreamId(5, 0), b"x", "why"), DeadLetter(StreamId(6, 0), b"y", "z")]}
        )
        after = await worker_summary(connection)
        await connection.aclose()
        return before, after

    before, after = asyncio.run(run(connect(server.url, timeout_milliseconds=5000)))

    assert before == WorkerSummary(live=0, unwritten=6, dead_letters=0)
    assert after == WorkerSummary(live=1, unwritten=6, dead_letters=2)
