"""When Redis' append-only file is to be rewritten for erased users."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import redis

from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones
from recsvc.store.connection import connect
from recsvc.store.keys import REWRITTEN_KEY
from recsvc.worker.redis_file import RedisFile, rewrite_due
from tests.redis_process import RedisProcess

NOW = 1_790_000_000.0
HOUR = 3600.0


def test_a_fresh_erasure_waits_until_its_events_have_left_the_stream() -> None:
    assert not rewrite_due([NOW + 1], covered=0.0, settled=NOW)
    assert rewrite_due([NOW], covered=0.0, settled=NOW)


def test_an_erasure_that_the_last_rewrite_came_too_early_for_gets_another() -> None:
    assert not rewrite_due([NOW - HOUR + 1], covered=NOW - HOUR + 1, settled=NOW)
    assert rewrite_due([NOW - HOUR + 1], covered=NOW - HOUR, settled=NOW)
    assert not rewrite_due([NOW - 60], covered=NOW - HOUR + 1, settled=NOW), "the last one is less than an hour ago"


def test_what_was_erased_is_out_of_the_file_and_the_mark_outlives_the_worker(
    tmp_path: Path, server: RedisProcess, client: redis.Redis
) -> None:
    client.set("of", "secretuser")
    client.delete("of")
    erased = Tombstones([Tombstone("0" * 32, StreamId(1, 0), time.time() - HOUR)])

    async def look() -> None:
        connection = connect(server.url, timeout_milliseconds=5000)
        try:
            await RedisFile(connection, flush_seconds=1.0).look(erased)
        finally:
            await connection.aclose()

    def on_disk() -> bool:
        found = []
        for path in (tmp_path / "redis").rglob("*aof*"):
            with suppress(OSError):  # a folder, or replaced meanwhile
                found.append(b"secretuser" in path.read_bytes())
        return any(found)

    assert on_disk()
    asyncio.run(look())
    give_up_at = time.monotonic() + 20
    while on_disk() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert not on_disk()
    covered = client.get(REWRITTEN_KEY)
    asyncio.run(look())
    assert client.get(REWRITTEN_KEY) == covered
