"""Exchanges over connections that stay at hand, with a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import hiredis
import pytest
from redis.exceptions import ResponseError

from recsvc.store.connection import RedisConnection, connect
from recsvc.store.errors import StoreUnavailable
from recsvc.store.exchange import Exchange

ID = hiredis.pack_command(("CLIENT", "ID"))


def run(url: str, scenario: Callable[[Exchange, RedisConnection], Awaitable[None]]) -> None:
    async def opened() -> None:
        connection = connect(url, timeout_milliseconds=1000)
        try:
            await scenario(Exchange(connection), connection)
        finally:
            await connection.aclose()

    asyncio.run(opened())


def echo(text: str) -> bytes:
    return hiredis.pack_command(("ECHO", text))


def test_replies_come_in_order_and_a_refused_command_has_its_error_in_its_place(redis_url: str) -> None:
    async def scenario(exchange: Exchange, _: RedisConnection) -> None:
        first, refused, last = await exchange.replies([echo("a"), hiredis.pack_command(("NONSENSE",)), echo("b")])
        assert (first, last) == (b"a", b"b")
        assert isinstance(refused, ResponseError)
        assert await exchange.replies([echo("c")]) == [b"c"]

    run(redis_url, scenario)


def test_a_connection_is_used_again(redis_url: str) -> None:
    async def scenario(exchange: Exchange, _: RedisConnection) -> None:
        ids = [await exchange.replies([ID]) for _ in range(3)]
        assert ids[0] == ids[1] == ids[2]

    run(redis_url, scenario)


def test_exchanges_at_the_same_time_have_a_connection_each(redis_url: str) -> None:
    async def scenario(exchange: Exchange, _: RedisConnection) -> None:
        both = await asyncio.gather(exchange.replies([ID]), exchange.replies([ID]))
        assert both[0] != both[1]

    run(redis_url, scenario)


def test_one_that_redis_closed_meanwhile_is_replaced(redis_url: str) -> None:
    async def scenario(exchange: Exchange, connection: RedisConnection) -> None:
        (old,) = await exchange.replies([ID])
        await connection.run(lambda redis: redis.client_kill_filter(_id=old))
        await asyncio.sleep(0.05)
        (new,) = await exchange.replies([ID])
        assert new != old

    run(redis_url, scenario)


def test_whoever_leaves_leaves_no_reply_to_the_next(redis_url: str) -> None:
    async def scenario(exchange: Exchange, _: RedisConnection) -> None:
        for _ in range(20):
            leaving = asyncio.ensure_future(exchange.replies([echo("old")]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            leaving.cancel()
            assert await exchange.replies([echo("new")]) == [b"new"]
            await asyncio.gather(leaving, return_exceptions=True)
            assert await exchange.replies([echo("newer")]) == [b"newer"]

    run(redis_url, scenario)


def test_redis_away() -> None:
    async def scenario(exchange: Exchange, _: RedisConnection) -> None:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await exchange.replies([ID])

    run("redis://127.0.0.1:1", scenario)  # where nobody listens
