"""Who writes which partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import redis

from recsvc.eventlog.position import PARTITIONS
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.keys import WORKERS_KEY, lease_key
from recsvc.worker.leases import Leases, share_of
from tests.redis_process import RedisProcess


def _run(server: RedisProcess, work: Callable[[RedisConnection], Awaitable[None]]) -> None:
    async def run() -> None:
        connection = connect(server.url, timeout_milliseconds=5000)
        try:
            await work(connection)
        finally:
            await connection.aclose()

    asyncio.run(run())


def test_shares_are_even_and_cover_every_partition() -> None:
    live = ["a", "b", "c"]
    shares = [share_of(live, name) for name in live]

    assert sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))
    assert {len(share) for share in shares} == {85, 86}
    assert share_of(live, "stranger") == frozenset()


def test_newcomer_waits_until_the_other_has_given_back_its_surplus(server: RedisProcess) -> None:
    async def work(connection: RedisConnection) -> None:
        first, second = Leases(connection, "a"), Leases(connection, "b")
        await first.keep()
        assert len(first.held) == PARTITIONS

        await second.keep()
        assert second.held == frozenset()
        await first.keep()
        await second.keep()

        assert not first.held & second.held
        assert len(first.held) == len(second.held) == PARTITIONS // 2
        assert first.arrived == set(range(PARTITIONS))
        assert second.arrived == second.held
        assert first.leads
        assert not second.leads

    _run(server, work)


def test_silent_worker_is_taken_for_dead_and_one_that_only_blinked_is_not(
    server: RedisProcess, client: redis.Redis
) -> None:
    async def work(connection: RedisConnection) -> None:
        first, second = Leases(connection, "a"), Leases(connection, "b")
        for leases in (first, second, first, second):
            await leases.keep()
        seconds, microseconds = client.time()
        client.hset(WORKERS_KEY, "a", seconds * 1000 + microseconds // 1000 - 4000)
        await second.keep()
        assert len(second.held) == PARTITIONS // 2

        client.hset(WORKERS_KEY, "a", seconds * 1000 - 6000)
        await second.keep()
        assert len(second.held) == PARTITIONS

        await first.keep()
        assert first.held == frozenset()

    _run(server, work)


def test_leases_that_redis_lost_are_taken_again(server: RedisProcess, client: redis.Redis) -> None:
    async def work(connection: RedisConnection) -> None:
        leases = Leases(connection, "a")
        await leases.keep()
        leases.arrived.clear()
        client.flushall()
        await leases.keep()

        assert len(leases.held) == len(leases.arrived) == PARTITIONS
        assert client.pttl(lease_key(0)) > 0
        assert client.pttl(WORKERS_KEY) > 0

    _run(server, work)


def test_who_leaves_frees_what_it_held(server: RedisProcess, client: redis.Redis) -> None:
    async def work(connection: RedisConnection) -> None:
        first, second = Leases(connection, "a"), Leases(connection, "b")
        await first.keep()
        await second.keep()
        await first.give_up()
        await second.keep()

        assert len(second.held) == PARTITIONS
        assert client.hkeys(WORKERS_KEY) == [b"b"]

    _run(server, work)
