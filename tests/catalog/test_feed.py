"""Following changes: everywhere, in order, over crashes of Redis and restarts of the process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from recsvc.catalog.feed import LiveFeed
from recsvc.eventlog.tombstones import read_tombstones
from recsvc.store.errors import StoreUnavailable
from recsvc.store.live_store import LiveStore
from tests.catalog.feeding import connection_to, erase, feed_of, put_of, tombstone_of, until
from tests.redis_process import RedisProcess


class TestFollowing:
    def test_a_change_is_known_here_at_once_and_elsewhere_soon(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path / "a") as here, feed_of(redis_url, tmp_path / "b") as there:
                await here.store.put_items([put_of("v1", hidden=True)])
                await erase(here.store, "u1")
                await here.caught_up()
                for feed in (here, there):
                    await until(lambda feed=feed: feed.erasures.of("u1") is not None)
                    item = feed.items.get("v1")
                    assert item is not None
                    assert item.hidden
                    assert feed.following

        asyncio.run(scenario())

    def test_changes_are_applied_in_order_however_many_there_are(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                for start in range(0, 1500, 300):
                    puts = [put_of(f"v{n % 7}", title=str(n)) for n in range(start, start + 300)]
                    await feed.store.put_items(puts)
                await feed.caught_up()
                titles = {item.item_id: int(item.title) for item in feed.items}
                assert titles == {f"v{n % 7}": n for n in range(1493, 1500)}

        asyncio.run(scenario())

    def test_callers_at_the_same_time_share_a_look_and_all_see_their_own(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:

                async def change(number: int) -> bool:
                    await feed.store.put_items([put_of(f"w{number}")])
                    await feed.caught_up()
                    return feed.items.get(f"w{number}") is not None

                assert all(await asyncio.gather(*(change(number) for number in range(50))))

        asyncio.run(scenario())

    def test_what_did_not_change_is_not_announced_again(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                await feed.store.put_items([put_of("v1")])
                await feed.caught_up()
                before = feed.items.version
                await feed.store.put_items([put_of("v1")])
                await feed.caught_up()
                assert feed.items.version == before

        asyncio.run(scenario())

    def test_a_process_that_missed_too_much_loads_everything(self, redis_url: str, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path / "busy") as busy:
                small = LiveStore(busy.store._connection, max_changes=10)
                connection = connection_to(redis_url)
                late = LiveFeed(connection, tmp_path / "late", 0.02)
                late.store = LiveStore(connection, max_changes=10)
                await small.put_items([put_of("v0")])
                await late.caught_up()
                for number in range(300):
                    await small.put_items([put_of(f"v{number}", title="new")])
                await late.caught_up()
                assert {item.title for item in late.items} == {"new"}
                assert len(late.items) == 300
                await late.close()
                await connection.aclose()

        asyncio.run(scenario())

    @pytest.mark.parametrize("kind", ["item", "erasure"])
    def test_a_change_that_is_not_understood_is_left_out_and_the_rest_followed(
        self, redis_url: str, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                await feed.store.put_items([put_of("v1")])
                client = Redis.from_url(redis_url)
                position = await feed.store.position()
                await client.xadd("{live}:changes", {"k": kind, "v": "{]"}, id=f"{position.version + 1}-0")
                await client.aclose()
                await feed.store.put_items([put_of("v2")])
                await feed.caught_up()
                assert feed.items.get("v2") is not None

        asyncio.run(scenario())
        assert "not understood" in caplog.text

    def test_an_unforeseen_error_is_logged_and_does_not_end_the_following(
        self, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_url, tmp_path) as feed:
                live = tmp_path / "live"
                (live / "erasures.jsonl").unlink()
                (live / "erasures.jsonl").mkdir()  # the file cannot be written
                await erase(feed.store, "u1")
                with pytest.raises(OSError, match="erasures"):
                    await feed.caught_up()
                await until(lambda: "following changes of items and erasures failed" in caplog.text)
                (live / "erasures.jsonl").rmdir()
                await until(lambda: feed.following and (live / "erasures.jsonl").exists())
                assert read_tombstones(tmp_path).of("u1") is not None

        asyncio.run(scenario())


class TestRedisAway:
    def test_what_is_known_stays_and_changes_come_when_redis_is_back(
        self, redis_server: RedisProcess, tmp_path: Path
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_server.url, tmp_path) as feed:
                await feed.store.put_items([put_of("v1", hidden=True)])
                await feed.caught_up()
                redis_server.kill()
                with pytest.raises(StoreUnavailable):
                    await feed.caught_up()
                assert feed.ready
                assert not feed.following
                assert feed.items.get("v1") is not None
                redis_server.start()
                await until(lambda: feed.following)

        asyncio.run(scenario())

    def test_a_restart_meanwhile_goes_by_the_files(self, redis_server: RedisProcess, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with feed_of(redis_server.url, tmp_path) as first:
                await first.store.put_items([put_of("v1", hidden=True, attributes={"a": 1.5, "b": True, "c": "x"})])
                await erase(first.store, "u1")
                await first.caught_up()
                item = first.items.get("v1")
            redis_server.kill()
            async with feed_of(redis_server.url, tmp_path) as second:
                assert second.ready
                assert not second.following
                assert second.as_of is not None
                assert second.items.get("v1") == item
                assert second.erasures.of("u1") == tombstone_of("u1")

        asyncio.run(scenario())

    @pytest.mark.parametrize("missing", ["items.jsonl", "items.position.json", "erasures.jsonl"])
    def test_files_that_are_not_all_there_count_as_none(
        self, redis_server: RedisProcess, tmp_path: Path, missing: str
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_server.url, tmp_path) as first:
                await first.store.put_items([put_of("v1", hidden=True)])
            (tmp_path / "live" / missing).unlink()
            redis_server.kill()
            async with feed_of(redis_server.url, tmp_path) as second:
                assert not second.ready
                redis_server.start()
                await until(lambda: second.ready)

        asyncio.run(scenario())

    @pytest.mark.parametrize("damaged", ["items.jsonl", "erasures.jsonl"])
    def test_a_damaged_file_is_put_aside_and_written_anew_from_redis(
        self, redis_server: RedisProcess, tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario() -> None:
            async with feed_of(redis_server.url, tmp_path) as first:
                await first.store.put_items([put_of("v1", hidden=True)])
                await erase(first.store, "u1")
            (tmp_path / "live" / damaged).write_text("{\n")
            async with feed_of(redis_server.url, tmp_path) as second:
                assert second.items.get("v1") is not None
                assert second.erasures.of("u1") is not None

        asyncio.run(scenario())
        assert "was damaged" in caplog.text
        assert list((tmp_path / "live").glob(f"{damaged}.damaged-*"))
        assert read_tombstones(tmp_path).of("u1") is not None
        assert json.loads((tmp_path / "live" / "items.jsonl").read_text())["item_id"] == "v1"
