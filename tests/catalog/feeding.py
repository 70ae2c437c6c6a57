"""Feeds as separate processes would have them, and a few items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from recsvc.catalog.feed import LiveFeed
from recsvc.catalog.item_json import to_json
from recsvc.catalog.live import LiveItem
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, digest_of
from recsvc.eventlog.tombstones import to_json as tombstone_json
from recsvc.store.breaker import Breaker
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.live_store import ItemPut, LiveStore


def connection_to(url: str) -> RedisConnection:
    """A connection that tries again at once: a test that restarts Redis is not about the pause."""
    breaker = Breaker(time.monotonic, first_delay_seconds=0.01, longest_delay_seconds=0.02)
    return connect(url, timeout_milliseconds=2_000, breaker=breaker)


@asynccontextmanager
async def feed_of(url: str, state_dir: Path) -> AsyncIterator[LiveFeed]:
    """A started feed, closed at the end."""
    connection = connection_to(url)
    feed = LiveFeed(connection, state_dir, 0.02)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.close()
        await connection.aclose()


def put_of(item_id: str, **fields: Any) -> ItemPut:
    return ItemPut(item_id, to_json(LiveItem(item_id, **({"updated_at": 1.0} | fields))))


def tombstone_of(user_id: str, erased_at: float = 1000.0) -> Tombstone:
    return Tombstone(digest_of(user_id), StreamId(int(erased_at * 1000), 0), erased_at)


async def erase(store: LiveStore, user_id: str, erased_at: float = 1000.0) -> None:
    tombstone = tombstone_of(user_id, erased_at)
    await store.put_tombstones([(tombstone.digest, tombstone_json(tombstone))])


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come about in time"
        await asyncio.sleep(0.01)
