from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from recsvc.eventlog.event import MERGE, LogEvent, decode, encode
from recsvc.eventlog.position import partition_of
from recsvc.events.errors import EventsRefused
from recsvc.events.intake import MAX_HOPS, EventIntake
from recsvc.store.connection import connect
from recsvc.store.event_store import EventStore
from recsvc.store.keys import log_key
from recsvc.store.merging import Merging, Sealed
from recsvc.store.pipeline import ScriptPipeline
from recsvc.telemetry import Telemetry
from recsvc.tokens import TokenSigner

SIGNER = TokenSigner([b"k" * 32])


class Bench:
    """An intake over a real Redis, and what tests do around it."""

    def __init__(self, pipeline: ScriptPipeline, redis: Redis) -> None:
        self._merging = Merging(pipeline)
        self._redis = redis
        self.intake = EventIntake(EventStore(pipeline, max_unwritten_events=10**9), SIGNER, Telemetry())

    async def seal(self, user: str, into: str) -> Sealed:
        entry = LogEvent(f"merge-{user}", MERGE, user, time.time(), target_id=into)
        return await self._merging.seal(user, into, encode(entry))

    async def merge(self, user: str, into: str) -> None:
        sealed = await self.seal(user, into)
        await self._merging.apply(into, sealed)
        await self._merging.finish(user)

    async def logged(self, user: str) -> list[LogEvent]:
        """The user's events in the stream, merges left out."""
        entries = await self._redis.xrange(log_key(partition_of(user)))
        events = [decode(fields[b"e"]) for _, fields in entries]
        return [event for event in events if event.user_id == user and event.type != MERGE]


@pytest.fixture
def run(redis_url: str) -> Callable[[Callable[[Bench], Awaitable[None]]], None]:
    """Runs a test's coroutine with a bench."""

    async def running(body: Callable[[Bench], Awaitable[None]]) -> None:
        connection = connect(redis_url, timeout_milliseconds=5_000)
        pipeline, redis = ScriptPipeline(connection), Redis.from_url(redis_url)
        try:
            await body(Bench(pipeline, redis))
        finally:
            await redis.aclose()
            await pipeline.aclose()
            await connection.aclose()

    return lambda body: asyncio.run(running(body))


Run = Callable[[Callable[[Bench], Awaitable[None]]], None]


def fresh() -> str:
    return f"u-{uuid4().hex[:12]}"


def like(user: str, item: str = "v1", **fields: object) -> LogEvent:
    return LogEvent(uuid4().hex, "like", user, time.time(), item_id=item, **fields)  # type: ignore[arg-type]


def test_events_of_several_users_keep_their_places(run: Run) -> None:
    async def body(bench: Bench) -> None:
        a, b = fresh(), fresh()
        events = [like(a, "v1"), like(b, "v2"), like(a, "v3")]
        assert await bench.intake.take(events, time.time()) == [False, False, False]
        assert await bench.intake.take([events[2], like(b), events[1], like(a)], time.time()) == [
            True,
            False,
            True,
            False,
        ]
        assert [event.item_id for event in await bench.logged(a)][:2] == ["v1", "v3"]

    run(body)


def test_events_of_a_merged_user_become_the_accounts_in_their_order(run: Run) -> None:
    async def body(bench: Bench) -> None:
        visitor, account = fresh(), fresh()
        await bench.merge(visitor, account)
        events = [like(visitor, "v1"), like(account, "v2"), like(visitor, "v3"), like(visitor, "v4")]
        assert await bench.intake.take(events, time.time()) == [False] * 4
        assert await bench.logged(visitor) == []
        logged = [event.item_id for event in await bench.logged(account)]
        assert sorted(map(str, logged)) == ["v1", "v2", "v3", "v4"]
        assert [item for item in logged if item != "v2"] == ["v1", "v3", "v4"]

    run(body)


def test_an_event_stored_before_the_merge_is_a_duplicate_after_it(run: Run) -> None:
    async def body(bench: Bench) -> None:
        visitor, account = fresh(), fresh()
        before, after = like(visitor), like(visitor)
        await bench.intake.take([before], time.time())
        await bench.merge(visitor, account)
        assert await bench.intake.take([before, after], time.time()) == [True, False]
        assert await bench.intake.take([before, after], time.time()) == [True, True]

    run(body)


def test_two_visitors_of_one_account_are_sent_after_it_in_the_order_of_the_call(run: Run) -> None:
    async def body(bench: Bench) -> None:
        first, second, account = fresh(), fresh(), fresh()
        await bench.merge(first, account)
        await bench.merge(second, account)
        events = [like((first, second)[n % 2], f"v{n}") for n in range(6)]
        assert await bench.intake.take(events, time.time()) == [False] * 6
        assert [event.item_id for event in await bench.logged(account)] == [f"v{n}" for n in range(6)]

    run(body)


def test_chains_of_merges_are_followed_so_far_and_no_further(run: Run) -> None:
    async def body(bench: Bench) -> None:
        chain = [fresh() for _ in range(MAX_HOPS + 2)]
        # From the start of the chain: a merge into a user that is sealed already would go straight to the end.
        for user, into in pairwise(chain):
            await bench.merge(user, into)
        followed = like(chain[1])
        assert await bench.intake.take([followed], time.time()) == [False]
        assert [event.event_id for event in await bench.logged(chain[-1])] == [followed.event_id]
        with pytest.raises(EventsRefused, match="being merged"):
            await bench.intake.take([like(chain[0])], time.time())

    run(body)


def test_users_who_were_merged_into_each_other_are_named(run: Run) -> None:
    async def body(bench: Bench) -> None:
        one, other = fresh(), fresh()
        await bench.merge(one, other)
        await bench.seal(other, one)
        with pytest.raises(EventsRefused) as raised:
            await bench.intake.take([like(one)], time.time())
        assert one in str(raised.value)
        assert other in str(raised.value)

    run(body)


def test_a_token_from_before_the_merge_attributes_the_accounts_event(run: Run) -> None:
    async def body(bench: Bench) -> None:
        visitor, stranger, account = fresh(), fresh(), fresh()
        await bench.merge(visitor, account)
        now = time.time()
        tokens = [
            SIGNER.issue(issued=int(now), placement="home", model_version="m", user_id=user)
            for user in (visitor, stranger)
        ]
        await bench.intake.take([like(account, recommendation_id=token) for token in tokens], now)
        assert [event.attribution for event in await bench.logged(account)] == ["valid", "invalid"]

    run(body)
