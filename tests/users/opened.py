"""What merges and erasures work with, over a real Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from recsvc.bundle.registry import Registry
from recsvc.catalog.feed import LiveFeed
from recsvc.eventlog.event import LogEvent, encode
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.store.connection import RedisConnection
from recsvc.store.erasing import Erasing
from recsvc.store.event_store import EventStore, IncomingEvent
from recsvc.store.merge_depth import longest_way
from recsvc.store.merge_lock import MergeLock
from recsvc.store.merging import Merging
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.profiles import Profiles
from recsvc.store.user_state import UserState
from recsvc.users.erasure import UserErasure
from recsvc.users.merge import UserMerge
from recsvc.users.profiles import UserProfiles
from tests.catalog.feeding import connection_to


@dataclass
class Opened:
    connection: RedisConnection
    events: EventStore
    state: UserState
    merging: Merging
    stored: Profiles
    profiles: UserProfiles
    erasing: Erasing
    feed: LiveFeed
    registry: Registry

    def merge(self, merging: Merging | None = None, stored: Profiles | None = None) -> UserMerge:
        lock = MergeLock(self.connection)

        async def way_to(user_id: str) -> int:
            return await longest_way(self.connection, user_id, await self.events.merged_ids(user_id))

        return UserMerge(merging or self.merging, stored or self.stored, lock, way_to, time.time)

    def erasure(self, erasing: Erasing | None = None) -> UserErasure:
        used = erasing or self.erasing
        return UserErasure(used, self.events.merged_ids, self.feed, self.registry, flush_seconds=5)

    async def happen(self, user: str, *items: str) -> None:
        """The user likes the items."""
        now = time.time()
        incoming = []
        for item in items:
            event = LogEvent(secrets.token_hex(8), "like", user, now, item_id=item)
            recent = (TYPE_CODES["like"], now, None, item)
            incoming.append(IncomingEvent(event.event_id, encode(event), recent))
        result = (await self.events.ingest([(user, incoming)], int(now * 1000)))[0]
        assert result.duplicate == [False] * len(items)

    async def recent(self, user: str) -> list[str]:
        """The items of the user's recent events, whoever the user is now."""
        news = (await self.state.read(user, None)).news
        assert news is not None
        return [event.item_id for event in news.events]


@asynccontextmanager
async def opened(url: str, directory: Path) -> AsyncIterator[Opened]:
    connection = connection_to(url)
    pipeline = ScriptPipeline(connection)
    feed = LiveFeed(connection, directory / "state", 0.02)
    await feed.start()
    merging, stored = Merging(pipeline), Profiles(pipeline)
    parts = Opened(
        connection,
        EventStore(pipeline, max_unwritten_events=1_000_000),
        UserState(pipeline, EVENT_TYPES, list_ttl_seconds=600),
        merging,
        stored,
        UserProfiles(stored, merging, time.time),
        Erasing(pipeline),
        feed,
        Registry(directory / "models"),
    )
    try:
        yield parts
    finally:
        await feed.close()
        await pipeline.aclose()
        await connection.aclose()


def run(url: str, directory: Path, scenario: Callable[[Opened], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with opened(url, directory) as parts:
            await scenario(parts)

    asyncio.run(whole())
