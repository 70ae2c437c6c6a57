"""One merge at a time, over all processes."""

from __future__ import annotations

import asyncio

import pytest

from recsvc.store import merge_lock
from recsvc.store.errors import StoreUnavailable
from recsvc.store.merge_lock import MergeLock
from tests.catalog.feeding import connection_to


def test_is_held_by_one_at_a_time(redis_url: str) -> None:
    async def scenario() -> None:
        connections = [connection_to(redis_url) for _ in range(2)]
        inside = 0
        most = 0

        async def work(number: int) -> None:
            nonlocal inside, most
            async with MergeLock(connections[number % 2]).held():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.002)
                inside -= 1

        await asyncio.gather(*(work(number) for number in range(20)))
        assert most == 1
        for connection in connections:
            await connection.aclose()

    asyncio.run(scenario())


def test_one_that_stays_taken_is_given_up(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_lock, "_PATIENCE_SECONDS", 0.1)

    async def scenario() -> None:
        connection = connection_to(redis_url)
        async with MergeLock(connection).held():
            with pytest.raises(StoreUnavailable, match="other merges"):
                async with MergeLock(connection).held():
                    pass
        async with MergeLock(connection).held():
            pass
        await connection.aclose()

    asyncio.run(scenario())


def test_a_holder_with_little_left_of_the_locks_life_is_told_to_stop(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        connection = connection_to(redis_url)
        async with MergeLock(connection).held() as held:
            held.check()
        monkeypatch.setattr(merge_lock, "_LIFETIME_MS", 1_000)
        async with MergeLock(connection).held() as held:
            with pytest.raises(StoreUnavailable, match="send it again"):
                held.check()
        await connection.aclose()

    asyncio.run(scenario())


def test_the_lock_of_one_who_died_is_waited_for(redis_url: str) -> None:
    async def scenario() -> None:
        connection = connection_to(redis_url)
        dying = MergeLock(connection).held()
        dead = await dying.__aenter__()
        dead.check()
        async with MergeLock(connection).held() as held:
            held.check()
            with pytest.raises(StoreUnavailable):
                dead.check()
        await connection.aclose()

    asyncio.run(scenario())
