"""The cache between processes, over a real Redis: computed once at each sequence number, and never a reason to fail."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.serving.cache import CandidateCache, Compute, Found, ListKey
from recsvc.serving.candidates import NO_REASON, CandidateList, Source, plain
from recsvc.serving.served import ServedModel
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.errors import StoreUnavailable
from recsvc.store.event_store import EventStore, IncomingEvent
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.user_state import UserRead, UserState
from recsvc.telemetry import Telemetry
from tests.builders import make_bundle
from tests.redis_process import RedisProcess

LIST = plain(
    np.arange(5, dtype=np.int32),
    np.ones(5, dtype=np.float32),
    Source.POPULAR,
    np.full(5, NO_REASON, dtype=np.int32),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return ServedModel(make_bundle(tmp_path_factory.mktemp("models"), n_users=5, n_items=30))


class Computation:
    """Counts how often it was asked for; takes a moment."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.calls = 0
        self._seconds = seconds

    async def __call__(self, read: UserRead | None) -> CandidateList:
        self.calls += 1
        await asyncio.sleep(self._seconds)
        return LIST if read is None else replace(LIST, computed_at=read.read_at_ms / 1000)


class Worker:
    """The cache as a worker process has it: several of them share nothing but Redis."""

    def __init__(self, url: str, model: ServedModel) -> None:
        self.connection: RedisConnection = connect(url, timeout_milliseconds=500)
        self.pipeline = ScriptPipeline(self.connection)
        self.state = UserState(self.pipeline, EVENT_TYPES, list_ttl_seconds=600)
        self.cache = CandidateCache(self.state, Telemetry(), new_items_seconds=10)
        self.model = model

    async def get(self, key: ListKey, compute: Compute) -> Found:
        try:
            look = await self.cache.look(key, self.model, mark=True)
        except StoreUnavailable:
            return await self.cache.compute_alone(key, compute)
        return look.found or await self.cache.compute(key, self.model, look, compute)

    async def like(self, key: ListKey) -> None:
        store = EventStore(self.pipeline, max_unwritten_events=100_000)
        event = IncomingEvent(secrets.token_hex(8), b"{}", (TYPE_CODES["like"], 1.79e9, None, "v001"), None, True)
        (result,) = await store.ingest([(key.user_id, [event])], 1_790_000_000_000)
        assert result.duplicate == [False]

    async def close(self) -> None:
        await self.cache.close()
        await self.pipeline.aclose()
        await self.connection.aclose()


def some_key() -> ListKey:
    return ListKey(f"user-{secrets.token_hex(8)}", "model", (), 100)


def with_workers(url: str, model: ServedModel, count: int, scenario: Callable[[list[Worker]], Awaitable[None]]) -> None:
    async def run() -> None:
        workers = [Worker(url, model) for _ in range(count)]
        try:
            await scenario(workers)
        finally:
            for worker in workers:
                await worker.close()

    asyncio.run(run())


def test_a_stampede_over_several_workers_computes_once(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(), some_key()

    async def scenario(workers: list[Worker]) -> None:
        found = await asyncio.gather(*(worker.get(key, compute) for worker in workers for _ in range(20)))
        assert all(each.cached and each.candidates.rows.tolist() == LIST.rows.tolist() for each in found)

    with_workers(redis_url, model, 3, scenario)
    assert compute.calls == 1


def test_a_list_is_good_for_the_sequence_number_it_was_computed_at(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()

    async def scenario(workers: list[Worker]) -> None:
        for calls in range(1, 4):
            for worker in (*workers, *workers):
                await worker.get(key, compute)
            assert compute.calls == calls
            await workers[calls % 2].like(key)

    with_workers(redis_url, model, 2, scenario)


def test_a_list_at_hand_is_not_given_to_who_comes_after_an_event(redis_url: str, model: ServedModel) -> None:
    """Neither the one under way nor the one that waits to be written."""
    key, begun = some_key(), asyncio.Event()
    reads: list[UserRead | None] = []

    async def slow(read: UserRead | None) -> CandidateList:
        reads.append(read)
        begun.set()
        await asyncio.sleep(0.1)
        return LIST

    async def scenario(workers: list[Worker]) -> None:
        before = asyncio.ensure_future(workers[0].get(key, slow))
        await begun.wait()
        await workers[1].like(key)
        await asyncio.gather(workers[0].get(key, slow), workers[1].get(key, Computation(0.15)), before)

    with_workers(redis_url, model, 2, scenario)
    assert [len(read.news.events) for read in reads if read and read.news] == [0, 1]


def test_a_worker_that_died_while_computing_holds_nobody_up_for_long(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()

    async def scenario(workers: list[Worker]) -> None:
        assert (await workers[1].state.read(key.user_id, key.digest)).mine
        assert (await workers[0].get(key, compute)).cached

    with_workers(redis_url, model, 2, scenario)
    assert compute.calls == 1


def test_lists_of_other_models_categories_and_depths_are_other_lists(redis_url: str, model: ServedModel) -> None:
    user = some_key().user_id
    keys = [
        ListKey(user, "model", (), 100),
        ListKey(user, "other", (), 100),
        ListKey(user, "model", ("a",), 100),
        ListKey(user, "model", ("a", "b"), 100),
        ListKey(user, "model", ("ab",), 100),
        ListKey(user, "model", (), 1_000),
    ]
    compute = Computation(0)

    async def scenario(workers: list[Worker]) -> None:
        for _ in range(2):
            await asyncio.gather(*(workers[0].get(key, compute) for key in keys))

    with_workers(redis_url, model, 1, scenario)
    assert compute.calls == len(keys)


def test_without_redis_the_list_is_computed_and_says_so(redis_server: RedisProcess, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()
    redis_server.kill()

    async def scenario(workers: list[Worker]) -> None:
        found = await workers[0].get(key, compute)
        assert not found.cached
        assert len(found.candidates) == 5

    with_workers(redis_server.url, model, 1, scenario)


def test_a_stampede_without_redis_computes_once_too(redis_server: RedisProcess, model: ServedModel) -> None:
    compute, key = Computation(0.2), some_key()
    redis_server.kill()

    async def scenario(workers: list[Worker]) -> None:
        found = await asyncio.gather(*(workers[0].get(key, compute) for _ in range(20)))
        assert not any(each.cached for each in found)

    with_workers(redis_server.url, model, 1, scenario)
    assert compute.calls == 1


def test_redis_lost_between_the_look_and_the_write_costs_the_cache_only(
    redis_server: RedisProcess, model: ServedModel
) -> None:
    key = some_key()

    async def compute(read: UserRead | None) -> CandidateList:
        redis_server.kill()
        return LIST

    async def scenario(workers: list[Worker]) -> None:
        found = await workers[0].get(key, compute)
        assert len(found.candidates) == 5
        await workers[0].cache.close()
        again = await workers[0].get(key, Computation(0))
        assert not again.cached

    with_workers(redis_server.url, model, 1, scenario)


def test_a_failed_computation_reaches_the_caller_and_lets_go_of_the_mark(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()

    async def fail(read: UserRead | None) -> CandidateList:
        raise LookupError

    async def scenario(workers: list[Worker]) -> None:
        with pytest.raises(LookupError):
            await workers[0].get(key, fail)
        await workers[0].cache.close()
        look = await workers[1].cache.look(key, model, mark=True)
        assert look.read.mine
        assert (await workers[1].cache.compute(key, model, look, compute)).cached

    with_workers(redis_url, model, 2, scenario)


def test_a_list_from_before_an_erasure_is_computed_again(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()
    erasures = Tombstones()
    model = ServedModel(model.bundle, erasures=erasures)

    async def scenario(workers: list[Worker]) -> None:
        await workers[0].get(key, compute)
        await workers[0].cache.close()
        read = await workers[0].state.read(key.user_id, None)
        erasures.add(Tombstone(digest_of(key.user_id), StreamId(1, 0), (read.read_at_ms + 1) / 1000))
        await asyncio.sleep(0.005)
        for _ in range(2):
            await workers[0].get(key, compute)
            await workers[0].cache.close()

    with_workers(redis_url, model, 1, scenario)
    assert compute.calls == 2


def test_a_list_with_an_item_that_changed_since_is_computed_again(redis_url: str, model: ServedModel) -> None:
    compute, key = Computation(0), some_key()
    items = LiveItems()
    model = ServedModel(model.bundle, items)

    async def scenario(workers: list[Worker]) -> None:
        await workers[0].get(key, compute)
        await workers[0].cache.close()
        read = await workers[0].state.read(key.user_id, None)
        now = read.read_at_ms / 1000
        items.put(LiveItem("v029", quality=0.5, updated_at=now + 1))
        model.view.refresh()
        await workers[0].get(key, compute)
        assert compute.calls == 1
        items.put(LiveItem("v003", quality=0.5, updated_at=now + 1))
        model.view.refresh()
        await workers[0].get(key, compute)

    with_workers(redis_url, model, 1, scenario)
    assert compute.calls == 2
