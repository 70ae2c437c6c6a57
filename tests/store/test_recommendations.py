from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from recsvc.store.connection import connect
from recsvc.store.errors import StoreUnavailable
from recsvc.store.keys import computation_key, recommendations_key
from recsvc.store.recommendations import RecommendationCache
from tests.redis_process import RedisProcess


def with_caches(
    url: str, scenario: Callable[[RecommendationCache, RecommendationCache], Awaitable[None]], ttl_seconds: int = 600
) -> None:
    """Two caches, as two worker processes have them."""

    async def run() -> None:
        connections = [connect(url, timeout_milliseconds=1000) for _ in range(2)]
        try:
            await scenario(*(RecommendationCache(connection, ttl_seconds) for connection in connections))
        finally:
            for connection in connections:
                await connection.aclose()

    asyncio.run(run())


async def remaining_milliseconds(url: str, key: str) -> int:
    connection = connect(url, timeout_milliseconds=1000)
    try:
        return int(await connection.run(lambda redis: redis.pttl(key)))
    finally:
        await connection.aclose()


class TestLists:
    def test_what_one_worker_puts_another_gets_byte_for_byte(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, other: RecommendationCache) -> None:
            value = bytes(range(256))
            await one.put("lists-u1", "m1", "d1", value)
            assert await other.get("lists-u1", "m1", "d1") == value

        with_caches(redis_url, scenario)

    def test_user_model_and_parameters_each_make_another_list(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, _other: RecommendationCache) -> None:
            await one.put("lists-u2", "m1", "d1", b"x")
            for arguments in (("lists-u3", "m1", "d1"), ("lists-u2", "m2", "d1"), ("lists-u2", "m1", "d2")):
                assert await one.get(*arguments) is None

        with_caches(redis_url, scenario)

    def test_a_list_lives_90_to_100_percent_of_its_ttl_and_not_all_the_same(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, _other: RecommendationCache) -> None:
            left = []
            for number in range(20):
                await one.put(f"lists-ttl-{number}", "m", "d", b"x")
                left.append(
                    await remaining_milliseconds(redis_url, recommendations_key(f"lists-ttl-{number}", "m", "d"))
                )
            assert all(89_000 <= milliseconds <= 100_000 for milliseconds in left)
            assert max(left) - min(left) > 1000

        with_caches(redis_url, scenario, ttl_seconds=100)


class TestComputing:
    def test_of_many_workers_one_computes(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, other: RecommendationCache) -> None:
            won = await asyncio.gather(*(cache.acquire("lock-u1", "m", "d", 5000) for cache in (one, other) * 10))
            assert won.count(True) == 1

        with_caches(redis_url, scenario)

    def test_the_mark_goes_by_itself_when_its_worker_dies(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, other: RecommendationCache) -> None:
            assert await one.acquire("lock-u2", "m", "d", 60)
            assert not await other.acquire("lock-u2", "m", "d", 60)
            await asyncio.sleep(0.2)
            assert await other.acquire("lock-u2", "m", "d", 60)

        with_caches(redis_url, scenario)

    def test_a_released_mark_is_free(self, redis_url: str) -> None:
        async def scenario(one: RecommendationCache, other: RecommendationCache) -> None:
            assert await one.acquire("lock-u3", "m", "d", 5000)
            assert await one.release("lock-u3", "m", "d")
            assert await other.acquire("lock-u3", "m", "d", 5000)

        with_caches(redis_url, scenario)

    def test_a_worker_that_was_too_slow_does_not_release_anothers_mark(self, redis_url: str) -> None:
        async def scenario(slow: RecommendationCache, other: RecommendationCache) -> None:
            assert await slow.acquire("lock-u4", "m", "d", 30)
            await asyncio.sleep(0.1)
            assert await other.acquire("lock-u4", "m", "d", 5000)
            assert not await slow.release("lock-u4", "m", "d")
            assert await remaining_milliseconds(redis_url, computation_key("lock-u4", "m", "d")) > 0

        with_caches(redis_url, scenario)


def test_without_redis_every_method_says_so(redis_server: RedisProcess) -> None:
    redis_server.kill()

    async def scenario(one: RecommendationCache, _other: RecommendationCache) -> None:
        for call in (
            one.get("u", "m", "d"),
            one.put("u", "m", "d", b"x"),
            one.acquire("u", "m", "d", 100),
            one.release("u", "m", "d"),
        ):
            with pytest.raises(StoreUnavailable):
                await call

    with_caches(redis_server.url, scenario)
