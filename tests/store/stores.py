"""Everything that runs scripts, over one connection to a Redis of the tests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.erasing import Erasing
from recsvc.store.event_store import EventStore, IncomingEvent
from recsvc.store.merging import Merging
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.profiles import Profiles
from recsvc.store.user_state import UserState

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Stores:
    connection: RedisConnection
    pipeline: ScriptPipeline
    events: EventStore
    state: UserState
    merging: Merging
    erasing: Erasing
    profiles: Profiles

    async def redis(self, *command: Any) -> Any:
        """The reply to one command."""
        return await self.connection.run(lambda redis: redis.execute_command(*command))

    async def take(self, user_id: str, *events: IncomingEvent) -> list[bool | None]:
        (result,) = await self.events.ingest([(user_id, events)], int(time.time() * 1000))
        return result.duplicate


@asynccontextmanager
async def opened(
    url: str, *, max_unwritten_events: int = 1_000_000_000, timeout_milliseconds: int = 5000
) -> AsyncIterator[Stores]:
    connection = connect(url, timeout_milliseconds=timeout_milliseconds)
    pipeline = ScriptPipeline(connection)
    try:
        yield Stores(
            connection,
            pipeline,
            EventStore(pipeline, max_unwritten_events=max_unwritten_events),
            UserState(pipeline, EVENT_TYPES, list_ttl_seconds=600),
            Merging(pipeline),
            Erasing(pipeline),
            Profiles(pipeline),
        )
    finally:
        await pipeline.aclose()
        await connection.aclose()


def with_stores(url: str, scenario: Callable[[Stores], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with opened(url, **options) as stores:
            await scenario(stores)

    asyncio.run(run())


def new_user() -> str:
    """An id that no other test has."""
    return f"store-{next(_NUMBERS)}"


def event(
    event_id: str,
    *,
    kind: str = "like",
    item: str | None = "v1",
    timestamp: float | None = None,
    value: float | None = None,
    unwanted: str | None = None,
    unwanted_ms: int | None = None,
) -> IncomingEvent:
    when = time.time() if timestamp is None else timestamp
    recent = None if item is None or kind == "impression" else (TYPE_CODES[kind], when, value, item)
    return IncomingEvent(event_id, event_id.encode(), recent, unwanted, kind != "impression", unwanted_ms)
