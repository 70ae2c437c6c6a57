"""Items and tombstones in Redis: atomic, conditional, bounded, and with every change in its place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from redis import Redis

from recsvc.eventlog import tombstones
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.live_store import ERASURE, ITEM, START, ItemPut, LiveStore, Position, PositionGone
from tests.catalog.feeding import connection_to, erase, tombstone_of
from tests.redis_process import RedisProcess

Scenario = Callable[[LiveStore], Awaitable[None]]


def run(url: str, scenario: Scenario, **limits: int) -> None:
    async def opened() -> None:
        connection = connection_to(url)
        try:
            await scenario(LiveStore(connection, **limits))
        finally:
            await connection.aclose()

    asyncio.run(opened())


class TestPutItems:
    def test_each_is_put_under_its_own_condition_and_told_what_was_there(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await store.put_items([ItemPut("a", b"1"), ItemPut("b", b"1")])
            results = await store.put_items(
                [
                    ItemPut("a", b"2", expected=b"1"),
                    ItemPut("b", b"2", expected=b"0"),
                    ItemPut("c", b"2", expected=b"1"),
                    ItemPut("b", b"3", only_new=True),
                    ItemPut("d", b"3", only_new=True),
                    ItemPut("a", b"4"),
                ]
            )
            assert [(result.outcome, result.old) for result in results] == [
                ("done", b"1"),
                ("conflict", b"1"),
                ("conflict", None),
                ("conflict", b"1"),
                ("done", None),
                ("done", b"2"),
            ]
            assert [await store.item(name) for name in "abcd"] == [b"4", b"1", None, b"3"]

        run(redis_url, scenario)

    def test_beyond_the_limit_new_items_are_refused_and_known_ones_are_not(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            results = await store.put_items([ItemPut(name, b"1") for name in "abc"] + [ItemPut("a", b"2")])
            assert [result.outcome for result in results] == ["done", "done", "full", "done"]
            assert await store.item("c") is None

        run(redis_url, scenario, max_items=2)

    def test_of_writers_at_the_same_time_one_wins(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            puts = [ItemPut("a", str(number).encode(), only_new=True) for number in range(20)]
            results = await asyncio.gather(*(store.put_items([put]) for put in puts))
            assert sum(result[0].outcome == "done" for result in results) == 1

        run(redis_url, scenario)


class TestChanges:
    def test_come_in_order_from_any_position(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            assert await store.changes(START, 10) == []
            await store.put_items([ItemPut("a", b"1"), ItemPut("b", b"2")])
            await erase(store, "u1")
            await store.put_items([ItemPut("a", b"3")])
            changes = await store.changes(START, 10)
            assert [change.kind for change in changes] == [ITEM, ITEM, ERASURE, ITEM]
            assert [change.position.version for change in changes] == [1, 2, 3, 4]
            assert await store.changes(changes[1].position, 10) == changes[2:]
            assert await store.changes(changes[1].position, 1) == changes[2:3]
            assert await store.changes(changes[3].position, 10) == []
            assert await store.position() == changes[3].position

        run(redis_url, scenario)

    def test_a_refused_put_is_no_change(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await store.put_items([ItemPut("a", b"1", expected=b"0")])
            assert await store.position() == START

        run(redis_url, scenario)

    def test_a_position_of_another_history_is_recognised_as_lost(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await store.put_items([ItemPut("a", b"1"), ItemPut("b", b"2")])
            for position in (Position(2, "another"), Position(3, "later")):
                with pytest.raises(PositionGone) as raised:
                    await store.changes(position, 10)
                assert raised.value.lost

        run(redis_url, scenario)

    def test_a_position_that_was_trimmed_is_not_taken_for_lost(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await store.put_items([ItemPut("a", b"1")])
            first = await store.position()
            for number in range(300):
                await store.put_items([ItemPut("a", str(number).encode())])
            for position in (first, START):
                with pytest.raises(PositionGone) as raised:
                    await store.changes(position, 10)
                assert not raised.value.lost

        run(redis_url, scenario, max_changes=10)

    def test_numbers_begin_above_a_floor(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await store.put_items([ItemPut("a", b"1")], floor=41)
            assert (await store.position()).version == 42
            await store.put_items([ItemPut("a", b"2")], floor=7)
            assert (await store.position()).version == 43

        run(redis_url, scenario)


class TestTombstones:
    def test_of_one_user_the_later_stays(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await erase(store, "u1", 2000.0)
            await erase(store, "u1", 1000.0)
            found = [pair async for chunk in store.erasures() for pair in chunk]
            assert len(found) == 1
            assert b"2000" in found[0][1]

        run(redis_url, scenario)

    def test_a_later_erasure_has_a_later_time_though_the_clock_was_set_back(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            first = await store.erase(tombstone_of("u1", 2000.5))
            second = await store.erase(tombstone_of("u2", 1000.0))
            again = await store.erase(replace(tombstone_of("u1", 1500.0), until=StreamId(3_000_000, 0)))
            assert first == tombstone_of("u1", 2000.5)
            assert (second.erased_at, again.erased_at) == (2000.500001, 2000.500002)
            assert (second.until, again.until) == (tombstone_of("u2").until, StreamId(3_000_000, 0))
            position = await store.position()
            assert await store.erase(tombstone_of("u1", 1400.0)) == again
            assert await store.erase(tombstone_of("u2", 1000.0)) == second
            assert await store.position() == position
            assert (await store.erase(tombstone_of("u1", 4000.0))).erased_at == 4000.0
            found = Tombstones([tombstones.from_json(text) async for chunk in store.erasures() for _, text in chunk])
            assert found.of("u2") == second

        run(redis_url, scenario)

    def test_tombstones_given_back_keep_their_times_and_later_ones_are_above(self, redis_url: str) -> None:
        async def scenario(store: LiveStore) -> None:
            await erase(store, "u1", 2000.0)
            await erase(store, "u2", 1000.0)
            assert (await store.erase(tombstone_of("u3", 1500.0))).erased_at == 2000.000001

        run(redis_url, scenario)


def test_changes_are_read_from_a_redis_that_is_full(redis_server: RedisProcess) -> None:
    async def scenario(store: LiveStore) -> None:
        await store.put_items([ItemPut("a", b"1")])
        with Redis.from_url(redis_server.url) as redis:
            redis.config_set("maxmemory", 1)
            try:
                assert len(await store.changes(START, 10)) == 1
            finally:
                redis.config_set("maxmemory", 0)

    run(redis_server.url, scenario)


def test_all_items_are_found_however_many(redis_url: str) -> None:
    async def scenario(store: LiveStore) -> None:
        names = {f"v{number}".encode() for number in range(3000)}
        await store.put_items([ItemPut(name.decode(), b"1") for name in names])
        assert {name async for chunk in store.items() for name, _ in chunk} == names

    run(redis_url, scenario)
