"""A Redis that lost its data gets back what the processes and their files know."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from recsvc.catalog.snapshot import save_erasures
from recsvc.eventlog.tombstones import Tombstones, write_tombstones
from recsvc.store.live_store import LiveStore
from tests.catalog.feeding import connection_to, erase, feed_of, put_of, tombstone_of
from tests.redis_process import RedisProcess


async def wipe(url: str) -> None:
    """Redis loses its data."""
    client = Redis.from_url(url)
    await client.delete("{live}:items", "{live}:erasures", "{live}:changes")
    await client.aclose()


class TestRedisThatLostItsData:
    def test_gets_back_what_was_known(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path / "a") as feed:
                await feed.store.put_items([put_of("v1", hidden=True), put_of("v2", title="two")])
                await erase(feed.store, "u1")
                await feed.caught_up()
                await wipe(redis_url)
                await feed.caught_up()
                item = feed.items.get("v1")
                assert item is not None
                assert item.hidden
                assert feed.erasures.of("u1") is not None
                async with feed_of(redis_url, tmp_path / "new") as new:
                    assert new.items.get("v1") == item
                    assert new.erasures.of("u1") == feed.erasures.of("u1")
                    assert len(new.items) == 2

        asyncio.run(scenario())

    def test_gets_it_back_from_the_files_of_a_service_that_was_stopped(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as before:
                await before.store.put_items([put_of("v1", deleted=True)])
                await erase(before.store, "u1")
                await before.caught_up()
            await wipe(redis_url)
            async with feed_of(redis_url, tmp_path) as after:
                assert after.items.get("v1") is not None
                assert await after.store.item("v1") is not None
                assert after.erasures.of("u1") is not None

        asyncio.run(scenario())

    def test_and_was_changed_since_keeps_the_changes(self, redis_url: str, tmp_path: Path) -> None:
        """The numbers of changes may have come further than before: it shows all the same."""

        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as before:
                await before.store.put_items([put_of("v1", hidden=True), put_of("v2", title="old")])
                await before.caught_up()
            await wipe(redis_url)
            connection = connection_to(redis_url)
            elsewhere = LiveStore(connection)
            await elsewhere.put_items([put_of("v2", title="new", updated_at=2.0), put_of("v3"), put_of("v4")])
            async with feed_of(redis_url, tmp_path) as after:
                assert {item.item_id: (item.hidden, item.title) for item in after.items} == {
                    "v1": (True, ""),
                    "v2": (False, "new"),
                    "v3": (False, ""),
                    "v4": (False, ""),
                }
                assert await elsewhere.item("v1") is not None
            await connection.aclose()

        asyncio.run(scenario())

    def test_and_went_back_to_an_older_state_gets_the_newer_records(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                await feed.store.put_items([put_of("v1", title="old")])
                client = Redis.from_url(redis_url)
                backup = [await client.dump("{live}:items"), await client.dump("{live}:changes")]
                await feed.store.put_items([put_of("v1", title="new", hidden=True, updated_at=2.0)])
                await erase(feed.store, "u1")
                await feed.caught_up()
                await wipe(redis_url)
                for name, value in zip(["{live}:items", "{live}:changes"], backup, strict=True):
                    assert value is not None
                    await client.restore(name, 0, value)
                await client.aclose()
                await feed.caught_up()
                item = feed.items.get("v1")
                assert item is not None
                assert (item.title, item.hidden) == ("new", True)
                assert b'"new"' in (await feed.store.item("v1") or b"")
                assert feed.erasures.of("u1") is not None

        asyncio.run(scenario())

    def test_numbers_go_on_so_that_files_of_before_are_still_replaced(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                for number in range(20):
                    await feed.store.put_items([put_of("v1", title=str(number), updated_at=float(number))])
                await feed.caught_up()
                before = await feed.store.position()
                await wipe(redis_url)
                await feed.caught_up()
                assert (await feed.store.position()).version > before.version
                await feed.store.put_items([put_of("v9")])
                await feed.caught_up()
            names = [
                json.loads(line)["item_id"] for line in (tmp_path / "live" / "items.jsonl").read_text().splitlines()
            ]
            assert sorted(names) == ["v1", "v9"]

        asyncio.run(scenario())


def test_tombstones_that_only_a_file_has_reach_redis(redis_url: str, tmp_path: Path) -> None:
    async def scenario() -> Any:
        async with feed_of(redis_url, tmp_path):
            pass
        write_tombstones(tmp_path, Tombstones([tombstone_of("u9", 5000.0)]))
        await wipe(redis_url)
        async with feed_of(redis_url, tmp_path / "other") as first, feed_of(redis_url, tmp_path) as feed:
            assert feed.erasures.of("u9") is not None
            return first.erasures.of("u9")

    asyncio.run(scenario())


class TestTombstonesOfTheFile:
    @pytest.mark.parametrize("gone", ["items.jsonl", "items.position.json"])
    @pytest.mark.parametrize("how", ["missing", "damaged"])
    def test_reach_a_redis_that_lost_its_data_without_the_snapshot_of_the_items(
        self, redis_url: str, tmp_path: Path, gone: str, how: str
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as before:
                await before.store.put_items([put_of("v1")])
                await erase(before.store, "u1")
                await before.caught_up()
            await wipe(redis_url)
            if how == "missing":
                (tmp_path / "live" / gone).unlink()
            else:
                (tmp_path / "live" / gone).write_text("{\n")
            async with feed_of(redis_url, tmp_path) as after, feed_of(redis_url, tmp_path / "other") as other:
                assert after.erasures.of("u1") == tombstone_of("u1")
                assert other.erasures.of("u1") == tombstone_of("u1")

        asyncio.run(scenario())

    def test_reach_a_redis_that_lost_only_them(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as before:
                await before.store.put_items([put_of("v1")])
                await before.caught_up()
            save_erasures(tmp_path, Tombstones([tombstone_of("u1")]))
            async with feed_of(redis_url, tmp_path), feed_of(redis_url, tmp_path / "other") as other:
                assert other.erasures.of("u1") == tombstone_of("u1")

        asyncio.run(scenario())

    def test_beside_a_damaged_line_count_and_redis_is_still_waited_for(
        self, redis_server: RedisProcess, tmp_path: Path
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_server.url, tmp_path) as before:
                await erase(before.store, "u1")
                await before.caught_up()
            with (tmp_path / "live" / "erasures.jsonl").open("a") as file:
                file.write("{\n")
            redis_server.kill()
            async with feed_of(redis_server.url, tmp_path) as after:
                assert after.erasures.of("u1") == tombstone_of("u1")
                assert not after.ready
            redis_server.start()

        asyncio.run(scenario())


def test_a_tombstone_in_redis_that_is_not_understood_is_left_out_and_the_rest_followed(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_erasures(tmp_path, Tombstones([tombstone_of("u1")]))

    async def scenario() -> None:
        client = Redis.from_url(redis_url)
        await client.hset("{live}:erasures", tombstone_of("u1").digest, "{]")
        await client.hset("{live}:erasures", "another", '{"digest": 1}')
        await client.aclose()
        async with feed_of(redis_url, tmp_path) as feed, feed_of(redis_url, tmp_path / "other") as other:
            assert feed.following
            assert other.erasures.of("u1") == tombstone_of("u1")

    asyncio.run(scenario())
    assert "a tombstone in Redis is not understood" in caplog.text
