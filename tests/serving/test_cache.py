"""The cache between processes, over a real Redis: computed once, and never a reason to fail."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from recsvc.serving.cache import CandidateCache, Found, ListKey
from recsvc.serving.candidates import NO_REASON, CandidateList, Source, plain
from recsvc.store.connection import connect
from recsvc.store.recommendations import RecommendationCache
from recsvc.telemetry import Telemetry
from tests.redis_process import RedisProcess

LIST = plain(
    np.arange(5, dtype=np.int32),
    np.ones(5, dtype=np.float32),
    Source.POPULAR,
    np.full(5, NO_REASON, dtype=np.int32),
)


class Computation:
    """Counts how often it was asked for; takes a moment."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.calls = 0
        self._seconds = seconds

    async def __call__(self) -> CandidateList:
        self.calls += 1
        await asyncio.sleep(self._seconds)
        return LIST


def some_key() -> ListKey:
    return ListKey(f"user-{secrets.token_hex(8)}", "model", (), 200, 100)


def with_workers(url: str, count: int, scenario: Callable[[list[CandidateCache]], Awaitable[None]]) -> None:
    """Runs the scenario with `count` caches that share nothing but Redis, as worker processes do."""

    async def run() -> None:
        connections = [connect(url, timeout_milliseconds=500) for _ in range(count)]
        caches = [CandidateCache(RecommendationCache(each, 600), Telemetry()) for each in connections]
        try:
            await scenario(caches)
        finally:
            for cache in caches:
                await cache.close()
            for connection in connections:
                await connection.aclose()

    asyncio.run(run())


def test_a_stampede_over_several_workers_computes_once(redis_url: str) -> None:
    compute, key = Computation(), some_key()

    async def scenario(workers: list[CandidateCache]) -> None:
        found = await asyncio.gather(*(worker.get(key, compute) for worker in workers for _ in range(20)))
        assert all(each.cached and each.candidates.rows.tolist() == LIST.rows.tolist() for each in found)

    with_workers(redis_url, 3, scenario)
    assert compute.calls == 1


def test_a_worker_that_died_while_computing_holds_nobody_up_for_long(redis_url: str) -> None:
    compute, key = Computation(0), some_key()

    async def scenario(workers: list[CandidateCache]) -> None:
        connection = connect(redis_url, timeout_milliseconds=500)
        dead = RecommendationCache(connection, 600)
        assert await dead.acquire(key.user_id, key.model, key.digest, 60_000)
        await connection.aclose()
        assert (await workers[0].get(key, compute)).cached

    with_workers(redis_url, 1, scenario)
    assert compute.calls == 1


def test_lists_of_other_models_categories_and_depths_are_other_lists(redis_url: str) -> None:
    user = some_key().user_id
    keys = [
        ListKey(user, "model", (), 200, 100),
        ListKey(user, "other", (), 200, 100),
        ListKey(user, "model", ("a",), 200, 100),
        ListKey(user, "model", ("a", "b"), 200, 100),
        ListKey(user, "model", ("ab",), 200, 100),
        ListKey(user, "model", (), 1_000, 100),
    ]
    compute = Computation(0)

    async def scenario(workers: list[CandidateCache]) -> None:
        for _ in range(2):
            for key in keys:
                await workers[0].get(key, compute)

    with_workers(redis_url, 1, scenario)
    assert compute.calls == len(keys)


def test_without_redis_the_list_is_computed_and_says_so(redis_server: RedisProcess) -> None:
    compute, key = Computation(0), some_key()
    redis_server.kill()

    async def scenario(workers: list[CandidateCache]) -> None:
        found: Found = await workers[0].get(key, compute)
        assert not found.cached
        assert len(found.candidates) == 5

    with_workers(redis_server.url, 1, scenario)


def test_a_stampede_without_redis_computes_once_too(redis_server: RedisProcess) -> None:
    compute, key = Computation(), some_key()
    redis_server.kill()

    async def scenario(workers: list[CandidateCache]) -> None:
        found = await asyncio.gather(*(workers[0].get(key, compute) for _ in range(20)))
        assert not any(each.cached for each in found)

    with_workers(redis_server.url, 1, scenario)
    assert compute.calls == 1


def test_redis_lost_between_the_look_and_the_write_costs_the_cache_only(redis_server: RedisProcess) -> None:
    key = some_key()

    async def compute() -> CandidateList:
        redis_server.kill()
        return LIST

    async def scenario(workers: list[CandidateCache]) -> None:
        found = await workers[0].get(key, compute)
        assert len(found.candidates) == 5
        await workers[0].close()
        again = await workers[0].get(key, Computation(0))
        assert not again.cached

    with_workers(redis_server.url, 1, scenario)


def test_a_list_that_is_not_written_yet_is_not_computed_again(redis_server: RedisProcess) -> None:
    compute, key = Computation(0), some_key()

    async def first_then_stop() -> CandidateList:
        redis_server.pause()
        return await compute()

    async def scenario(workers: list[CandidateCache]) -> None:
        first = await workers[0].get(key, first_then_stop)
        assert first.candidates.rows.tolist() == LIST.rows.tolist()
        again = await workers[0].get(key, compute)
        assert again.candidates is first.candidates
        redis_server.resume()

    with_workers(redis_server.url, 1, scenario)
    assert compute.calls == 1


def test_a_failed_computation_reaches_the_caller_and_lets_go_of_the_mark(redis_url: str) -> None:
    compute, key = Computation(0), some_key()

    async def fail() -> CandidateList:
        raise LookupError

    async def scenario(workers: list[CandidateCache]) -> None:
        with pytest.raises(LookupError):
            await workers[0].get(key, fail)
        await workers[0].close()
        connection = connect(redis_url, timeout_milliseconds=500)
        assert await RecommendationCache(connection, 600).acquire(key.user_id, key.model, key.digest, 1_000)
        await connection.aclose()
        assert (await workers[1].get(key, compute)).cached

    with_workers(redis_url, 2, scenario)


def test_a_mark_found_beside_a_list_just_written_is_given_back(redis_url: str) -> None:
    """The other worker writes between this one's first look and its mark."""
    key = some_key()

    async def scenario(workers: list[CandidateCache]) -> None:
        await workers[0].get(key, Computation(0))
        await workers[0].close()
        connection = connect(redis_url, timeout_milliseconds=500)
        late = LateReader(RecommendationCache(connection, 600))
        cache = CandidateCache(late, Telemetry())  # type: ignore[arg-type]
        unused = Computation(0)
        assert (await cache.get(key, unused)).cached
        assert unused.calls == 0
        await cache.close()
        assert await late.acquire(key.user_id, key.model, key.digest, 1_000)
        await connection.aclose()

    with_workers(redis_url, 1, scenario)


class LateReader:
    """A real store whose first look comes before the list was written."""

    def __init__(self, store: RecommendationCache) -> None:
        self._store = store
        self._looked = False
        self.acquire, self.release, self.put = store.acquire, store.release, store.put

    async def get(self, user_id: str, model: str, digest: str) -> bytes | None:
        if not self._looked:
            self._looked = True
            return None
        return await self._store.get(user_id, model, digest)


def test_two_models_asked_for_at_the_same_moment_compute_a_list_each(redis_url: str) -> None:
    compute, key = Computation(), some_key()
    other = ListKey(key.user_id, "another-model", key.categories, key.depth, key.n_items)

    async def scenario(workers: list[CandidateCache]) -> None:
        await asyncio.gather(workers[0].get(key, compute), workers[0].get(other, compute))

    with_workers(redis_url, 1, scenario)
    assert compute.calls == 2
