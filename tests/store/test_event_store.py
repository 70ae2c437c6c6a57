from __future__ import annotations

import asyncio
import time

import pytest

from recsvc.eventlog.position import PARTITIONS, partition_of
from recsvc.store import keys
from recsvc.store.errors import StoreUnavailable
from tests.redis_process import RedisProcess
from tests.store.stores import Stores, event, new_user, with_stores

DAY = 86_400


async def today(stores: Stores) -> int:
    seconds, _ = await stores.redis("TIME")
    return int(seconds) // DAY


async def logged(stores: Stores, user: str) -> list[bytes]:
    entries = await stores.redis("XRANGE", keys.log_key(partition_of(user)), "-", "+")
    return [fields[b"e"] for _, fields in entries]


class TestRecent:
    def test_the_newest_200_are_kept_and_the_newest_lost_one_is_noted(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, *[event(f"e{number}", item=f"v{number}") for number in range(199)])
            read = await stores.state.read(user, None)
            assert read.news is not None
            assert read.news.dropped is None
            third = read.news.events[2]
            await stores.take(user, *[event(f"f{number}", item=f"w{number}") for number in range(4)])
            read = await stores.state.read(user, None)
            assert read.news is not None
            assert [e.item_id for e in read.news.events] == [*(f"v{n}" for n in range(3, 199)), "w0", "w1", "w2", "w3"]
            assert read.news.dropped == (third.partition, third.id)

        with_stores(redis_url, scenario)

    def test_more_than_fits_in_one_call(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, *[event(f"e{number}", item=f"v{number}") for number in range(1000)])
            read = await stores.state.read(user, None)
            assert read.news is not None
            assert [e.item_id for e in read.news.events] == [f"v{number}" for number in range(800, 1000)]
            assert read.news.dropped is not None
            assert read.news.dropped[1] < read.news.events[0].id
            assert len([entry for entry in await logged(stores, user) if entry.startswith(b"e")]) >= 1000

        with_stores(redis_url, scenario)

    def test_an_impression_is_logged_and_nothing_else(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert await stores.take(user, event(f"shown to {user}", kind="impression")) == [False]
            assert f"shown to {user}".encode() in await logged(stores, user)
            read = await stores.state.read(user, None)
            assert read.sequence == 0
            assert read.news is not None
            assert read.news.events == []

        with_stores(redis_url, scenario)

    def test_the_sequence_rises_once_a_call(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"), event("e2"))
            first = (await stores.state.read(user, None)).sequence
            await stores.take(user, event("e3"), event("e4"), event("e5", kind="impression"))
            assert (await stores.state.read(user, None)).sequence == first + 1

        with_stores(redis_url, scenario)

    def test_everything_has_an_end(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", unwanted="c:c1"))
            for name, days in ((keys.state_key(user), 31), (keys.recent_key(user), 31), (keys.unwanted_key(user), 90)):
                assert (days - 1) * DAY < await stores.redis("TTL", name) <= days * DAY

        with_stores(redis_url, scenario)

    def test_lifetimes_are_renewed_on_another_day(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"))
            for name in (keys.state_key(user), keys.recent_key(user)):
                await stores.redis("EXPIRE", name, 5 * DAY)
            await stores.redis("HSET", keys.state_key(user), "day", (await today(stores) - 1) * 128)
            await stores.take(user, event("e2"))
            for name in (keys.state_key(user), keys.recent_key(user)):
                assert await stores.redis("TTL", name) > 30 * DAY

        with_stores(redis_url, scenario)

    def test_recent_events_that_begin_later_in_the_day_have_an_end_too(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", kind="impression"))
            await stores.take(user, event("e2"))
            assert await stores.redis("TTL", keys.recent_key(user)) > 30 * DAY

        with_stores(redis_url, scenario)


class TestUnwanted:
    def test_the_later_time_counts(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            for number, since in enumerate((2_000, 5_000, 3_000)):
                await stores.take(user, event(f"e{number}", item=None, unwanted="c:a:b", unwanted_ms=since))
            news = (await stores.state.read(user, None)).news
            assert news is not None
            assert news.unwanted == {"c:a:b": 5.0}

        with_stores(redis_url, scenario)

    def test_without_a_time_of_its_own_it_counts_from_its_receipt(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.events.ingest([(user, [event("e1", item=None, unwanted="t:sport")])], 1_760_000_000_123)
            news = (await stores.state.read(user, None)).news
            assert news is not None
            assert news.unwanted == {"t:sport": 1_760_000_000.123}

        with_stores(redis_url, scenario)

    def test_a_report_is_kept_for_good(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", item=None, unwanted="c:c1"))
            await stores.take(user, event("e2", kind="report", unwanted="r:v1"))
            await stores.take(user, event("e3", item=None, unwanted="c:c2"))
            assert await stores.redis("TTL", keys.unwanted_key(user)) == -1

        with_stores(redis_url, scenario)

    def test_over_the_cap_the_oldest_creator_or_topic_goes_first(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("r", kind="report", unwanted="r:v1", unwanted_ms=1))
            many = [event(f"e{n}", item=None, unwanted=f"c:{n}", unwanted_ms=1000 + n) for n in range(1000)]
            await stores.take(user, *many)
            await stores.take(user, event("late", item=None, unwanted="t:new", unwanted_ms=5))
            news = (await stores.state.read(user, None)).news
            assert news is not None
            assert len(news.unwanted) == 1001
            assert {"r:v1", "t:new", "c:1"} <= set(news.unwanted)
            assert "c:0" not in news.unwanted

        with_stores(redis_url, scenario)

    def test_reports_have_a_cap_of_their_own(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("c", item=None, unwanted="c:c1", unwanted_ms=1))
            for start in range(0, 5001, 1000):
                numbers = range(start, min(start + 1000, 5001))
                await stores.take(
                    user, *[event(f"e{n}", kind="report", unwanted=f"r:{n}", unwanted_ms=10 + n) for n in numbers]
                )
            news = (await stores.state.read(user, None)).news
            assert news is not None
            assert set(news.unwanted) == {"c:c1", *(f"r:{n}" for n in range(1, 5001))}

        with_stores(redis_url, scenario)


class TestRefusals:
    def test_a_full_stream_stores_nothing_and_still_knows_duplicates(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.redis("DEL", keys.log_key(partition_of(user)))
            assert await stores.take(user, event("e1"), event("e2"), event("e3")) == [False] * 3  # a call is not split
            (result,) = await stores.events.ingest([(user, [event("e4"), event("e1")])], 0)
            assert (result.duplicate, result.moved_to, result.full) == ([None, True], None, True)
            assert await stores.redis("XLEN", keys.log_key(partition_of(user))) == 3
            await stores.redis("XTRIM", keys.log_key(partition_of(user)), "MAXLEN", 0)
            assert await stores.take(user, event("e4"), event("e1")) == [False, True]

        with_stores(redis_url, scenario, max_unwritten_events=2 * PARTITIONS)

    def test_a_repeat_of_what_is_stored_is_no_matter_of_room(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.redis("DEL", keys.log_key(partition_of(user)))
            await stores.take(user, event("e1"), event("e2"))
            (result,) = await stores.events.ingest([(user, [event("e1"), event("e2")])], 0)
            assert (result.duplicate, result.full) == ([True, True], False)

        with_stores(redis_url, scenario, max_unwritten_events=2 * PARTITIONS)

    def test_a_full_stream_of_one_partition_refuses_its_users_only(self, redis_url: str) -> None:
        users = [new_user() for _ in range(30)]
        full = next(user for user in users if partition_of(user) != partition_of(users[0]))

        async def scenario(stores: Stores) -> None:
            for user in (users[0], full):
                await stores.redis("DEL", keys.log_key(partition_of(user)))
            await stores.take(full, event("e1"))
            one, other = await stores.events.ingest([(full, [event("e2")]), (users[0], [event("e2")])], 0)
            assert (one.full, other.full) == (True, False)
            assert (one.duplicate, other.duplicate) == ([None], [False])

        with_stores(redis_url, scenario, max_unwritten_events=1)

    def test_a_merged_user_refuses_with_the_others_name(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"))
            await stores.merging.seal(user, account, b"merged")
            (result,) = await stores.events.ingest([(user, [event("e1"), event("e2")])], 0)
            assert (result.duplicate, result.moved_to, result.full) == ([True, None], account, False)

        with_stores(redis_url, scenario)

    def test_without_redis_it_says_so(self, redis_server: RedisProcess) -> None:
        redis_server.kill()

        async def scenario(stores: Stores) -> None:
            with pytest.raises(StoreUnavailable):
                await stores.take(new_user(), event("e1"))

        with_stores(redis_server.url, scenario)

    def test_a_refused_script_is_store_unavailable(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.redis("SET", keys.recent_key(user), "not a list")
            with pytest.raises(StoreUnavailable, match="refused the script"):
                await stores.take(user, event("e1"))
            await stores.redis("DEL", keys.recent_key(user))

        with_stores(redis_url, scenario)


def test_events_of_many_callers_are_each_stored_once(redis_url: str) -> None:
    users = [new_user() for _ in range(50)]

    async def scenario(stores: Stores) -> None:
        sent = [[(user, [event(f"{user}.{number}", item=f"v{number}")]) for user in users] for number in range(20)]
        results = await asyncio.gather(*(stores.events.ingest(calls, int(time.time() * 1000)) for calls in sent * 2))
        stored = sum(result.duplicate == [False] for call in results for result in call)
        assert stored == 20 * len(users)
        for user in users:
            news = (await stores.state.read(user, None)).news
            assert news is not None
            assert sorted(e.item_id for e in news.events) == sorted(f"v{number}" for number in range(20))

    with_stores(redis_url, scenario)
