from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import DataError

from recsvc.store.breaker import Breaker
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.errors import StoreUnavailable
from tests.redis_process import RedisProcess


def with_connection(url: str, scenario: Callable[[RedisConnection], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        breaker = Breaker(time.monotonic, failures_to_open=3, first_delay_seconds=0.05, longest_delay_seconds=0.2)
        connection = connect(url, **{"timeout_milliseconds": 1000, "breaker": breaker, **options})
        try:
            await scenario(connection)
        finally:
            await connection.aclose()

    asyncio.run(run())


async def ping(redis: Redis) -> Any:
    return await redis.ping()


async def recovered(connection: RedisConnection) -> bool:
    for _ in range(200):
        if await connection.ping():
            return True
        await asyncio.sleep(0.02)
    return False


def test_replies_are_bytes(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        await connection.run(lambda redis: redis.set("connection:bytes", "é"))
        assert await connection.run(lambda redis: redis.get("connection:bytes")) == "é".encode()

    with_connection(redis_url, scenario)


def test_a_killed_redis_is_unavailable_then_refused_and_comes_back_by_itself(redis_server: RedisProcess) -> None:
    async def scenario(connection: RedisConnection) -> None:
        assert await connection.ping()
        redis_server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await connection.run(ping)
        assert not connection.available
        with pytest.raises(StoreUnavailable, match="did not answer lately"):
            await connection.run(ping)
        redis_server.start()
        assert await recovered(connection)
        assert connection.available

    with_connection(redis_server.url, scenario)


def test_a_restart_between_two_calls_goes_unnoticed(redis_server: RedisProcess) -> None:
    async def scenario(connection: RedisConnection) -> None:
        await asyncio.gather(*(connection.run(ping) for _ in range(10)))
        redis_server.kill()
        redis_server.start()
        await asyncio.sleep(0.05)  # the loop, which stood still meanwhile, sees the connections close
        assert all(await asyncio.gather(*(connection.run(ping) for _ in range(10))))

    with_connection(redis_server.url, scenario)


def test_a_redis_that_hangs_costs_the_timeout_and_comes_back(redis_server: RedisProcess) -> None:
    async def scenario(connection: RedisConnection) -> None:
        assert await connection.ping()
        redis_server.pause()
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="not reachable"):
                await connection.run(ping)
        assert not connection.available
        redis_server.resume()
        assert await recovered(connection)

    with_connection(redis_server.url, scenario, timeout_milliseconds=50)


def test_a_late_reply_is_never_taken_for_the_next_calls(redis_server: RedisProcess) -> None:
    async def scenario(connection: RedisConnection) -> None:
        await connection.run(lambda redis: redis.set("connection:late", "late"))
        redis_server.pause()
        with pytest.raises(StoreUnavailable):
            await connection.run(lambda redis: redis.get("connection:late"))
        redis_server.resume()
        assert await recovered(connection)
        assert await connection.run(lambda redis: redis.get("connection:nothing")) is None

    with_connection(redis_server.url, scenario, timeout_milliseconds=50, max_connections=1)


def test_connecting_to_nothing_fails_when_it_is_used_not_before(tmp_path: Any) -> None:
    async def scenario(connection: RedisConnection) -> None:
        assert connection.available
        with pytest.raises(StoreUnavailable):
            await connection.run(ping)

    with_connection(f"unix://{tmp_path}/nobody.sock", scenario)


def test_more_calls_than_connections_wait_for_one(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        replies = await asyncio.gather(*(connection.run(lambda redis: redis.echo("x")) for _ in range(100)))
        assert replies == [b"x"] * 100
        clients = await connection.run(lambda redis: redis.client_list())
        ours = [client for client in clients if client["addr"] != ""]
        assert len(ours) <= 2

    with_connection(redis_url, scenario, max_connections=2, timeout_milliseconds=5000)


def test_waiting_for_a_connection_ends_with_the_timeout(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        async def take(redis: Redis) -> Any:
            return redis.connection_pool, await redis.connection_pool.get_connection()

        pool, taken = await connection.run(take)
        with pytest.raises(StoreUnavailable):
            await connection.run(ping)
        await pool.release(taken)
        assert await connection.ping()

    with_connection(redis_url, scenario, max_connections=1, timeout_milliseconds=100)


def test_a_pause_of_our_own_loop_is_not_taken_for_one_of_redis(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        assert await connection.ping()
        for _ in range(5):
            call = asyncio.ensure_future(connection.run(ping))
            await asyncio.sleep(0)  # the command goes out
            time.sleep(0.15)  # noqa: ASYNC251 (the loop is meant to stand still, past the deadline)
            assert await call

    with_connection(redis_url, scenario, timeout_milliseconds=50)


def test_a_command_that_redis_refuses_is_unavailable_but_does_not_open_the_breaker(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        await connection.run(lambda redis: redis.set("connection:text", "x"))
        for _ in range(10):
            with pytest.raises(StoreUnavailable, match="refused the command"):
                await connection.run(lambda redis: redis.lpush("connection:text", "y"))
        assert connection.available

    with_connection(redis_url, scenario)


def test_what_redis_cannot_encode_is_the_callers_mistake(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        with pytest.raises(DataError):
            await connection.run(lambda redis: redis.set("connection:bad", object()))  # type: ignore[arg-type]
        assert await connection.ping()

    with_connection(redis_url, scenario)


def test_a_cancelled_call_gives_its_connection_back(redis_url: str) -> None:
    async def scenario(connection: RedisConnection) -> None:
        for _ in range(5):
            call = asyncio.ensure_future(connection.run(lambda redis: redis.blpop("connection:never", timeout=5)))
            await asyncio.sleep(0.02)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert await connection.ping()
        assert connection.available

    with_connection(redis_url, scenario, max_connections=1)
