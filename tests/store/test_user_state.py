from __future__ import annotations

import asyncio
import itertools

import pytest

from recsvc.store import keys
from recsvc.store.errors import StoreUnavailable
from recsvc.store.following import MAX_MERGES
from tests.redis_process import RedisProcess
from tests.store.stores import Stores, event, new_user, with_stores

D = "0123456789abcdef"


class TestLists:
    def test_a_list_is_given_back_byte_for_byte_until_something_happens(self, redis_url: str) -> None:
        user, value = new_user(), bytes(range(256))

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"))
            miss = await stores.state.read(user, D)
            assert (miss.cached, miss.mine) == (None, True)
            assert miss.news is not None
            await stores.state.put_list(user, D, miss.sequence, value)
            hit = await stores.state.read(user, D)
            assert (hit.cached, hit.mine, hit.news, hit.sequence) == (value, False, None, miss.sequence)
            await stores.take(user, event("e1"), event("e2", kind="impression"))
            assert (await stores.state.read(user, D)).cached == value
            await stores.take(user, event("e3"))
            assert (await stores.state.read(user, D)).cached is None

        with_stores(redis_url, scenario)

    def test_a_user_without_state_has_lists_too(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert (await stores.state.read(user, D)).sequence == 0
            await stores.state.put_list(user, D, 0, b"popular")
            assert (await stores.state.read(user, D)).cached == b"popular"
            await stores.take(user, event("e1"))
            assert (await stores.state.read(user, D)).cached is None

        with_stores(redis_url, scenario)

    def test_a_list_computed_before_an_event_does_not_come_back(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            slow = await stores.state.read(user, D)
            await stores.take(user, event("e1"))
            fast = await stores.state.read(user, D)
            await stores.state.put_list(user, D, fast.sequence, b"new")
            await stores.state.put_list(user, D, slow.sequence, b"old")
            assert (await stores.state.read(user, D)).cached == b"new"

        with_stores(redis_url, scenario)

    def test_a_list_computed_before_an_erasure_does_not_come_back(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"))
            slow = await stores.state.read(user, D)
            await stores.erasing.erase(user)
            await stores.state.put_list(user, D, slow.sequence, b"old")
            assert await stores.redis("EXISTS", keys.lists_key(user)) == 0
            await stores.take(user, event("e1"))
            again = await stores.state.read(user, D)
            assert again.sequence > slow.sequence
            assert again.cached is None

        with_stores(redis_url, scenario)

    def test_lists_live_90_to_100_percent_of_the_ttl_and_not_all_the_same(self, redis_url: str) -> None:
        users = [new_user() for _ in range(20)]

        async def scenario(stores: Stores) -> None:
            left = []
            for user in users:
                await stores.state.put_list(user, D, 0, b"x")
                stored = await stores.redis("HGET", keys.lists_key(user), D)
                seconds, microseconds = await stores.redis("TIME")
                left.append(int.from_bytes(stored[8:14], "big") - seconds * 1000 - microseconds // 1000)
                assert 0 < await stores.redis("PTTL", keys.lists_key(user)) <= 600_000
            assert all(535_000 <= milliseconds <= 600_000 for milliseconds in left)
            assert max(left) - min(left) > 5000

        with_stores(redis_url, scenario)

    def test_one_list_does_not_keep_another_alive(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.state.put_list(user, D, 0, b"x")
            stored = await stores.redis("HGET", keys.lists_key(user), D)
            seconds, _ = await stores.redis("TIME")
            expired = stored[:8] + (seconds * 1000 - 1).to_bytes(6, "big") + stored[14:]
            await stores.redis("HSET", keys.lists_key(user), D, expired)
            await stores.state.put_list(user, "other", 0, b"y")
            assert (await stores.state.read(user, D)).cached is None
            assert (await stores.state.read(user, "other")).cached == b"y"

        with_stores(redis_url, scenario)

    def test_a_user_has_at_most_16_fields(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            for number in range(40):
                read = await stores.state.read(user, f"d{number}")
                await stores.state.put_list(user, f"d{number}", read.sequence, b"x")
                assert await stores.redis("HLEN", keys.lists_key(user)) <= 16
                assert (await stores.state.read(user, f"d{number}")).cached == b"x"

        with_stores(redis_url, scenario)

    def test_marks_alone_are_capped_and_end_too(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            for number in range(40):
                assert (await stores.state.read(user, f"d{number}")).mine
                assert await stores.redis("HLEN", keys.lists_key(user)) <= 16
            assert 0 < await stores.redis("PTTL", keys.lists_key(user)) <= 600_000

        with_stores(redis_url, scenario)


class TestMarks:
    def test_of_many_callers_one_computes(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            reads = await asyncio.gather(*(stores.state.read(user, D) for _ in range(20)))
            assert [read.mine for read in reads].count(True) == 1
            assert all(read.news is not None for read in reads)

        with_stores(redis_url, scenario)

    def test_an_event_makes_the_list_another_callers(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert (await stores.state.read(user, D)).mine
            assert not (await stores.state.read(user, D)).mine
            await stores.take(user, event("e1"))
            assert (await stores.state.read(user, D)).mine

        with_stores(redis_url, scenario)

    def test_a_mark_goes_by_itself_when_its_process_dies(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert (await stores.state.read(user, D)).mine
            mark = await stores.redis("HGET", keys.lists_key(user), f"m{D}")
            seconds, _ = await stores.redis("TIME")
            await stores.redis(
                "HSET", keys.lists_key(user), f"m{D}", mark[:8] + (seconds * 1000 - 1).to_bytes(6, "big")
            )
            assert (await stores.state.read(user, D)).mine

        with_stores(redis_url, scenario)

    def test_a_released_mark_is_free_and_one_of_another_number_stays(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            slow = await stores.state.read(user, D)
            await stores.take(user, event("e1"))
            fast = await stores.state.read(user, D)
            assert fast.mine
            await stores.state.release(user, D, slow.sequence)
            assert not (await stores.state.read(user, D)).mine
            await stores.state.release(user, D, fast.sequence)
            assert (await stores.state.read(user, D)).mine

        with_stores(redis_url, scenario)

    def test_who_does_not_ask_for_a_mark_leaves_nothing_behind(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert not (await stores.state.read(user, D, mark=False)).mine
            assert not (await stores.state.read(user, None)).mine
            assert await stores.redis("EXISTS", keys.lists_key(user), keys.state_key(user)) == 0

        with_stores(redis_url, scenario)


class TestNews:
    def test_they_hold_what_happened_and_the_profile(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(
                user,
                event("e1", item="v1", timestamp=1_760_000_000, value=0.25),
                event("e2", kind="report", item="v2", unwanted="r:v2", unwanted_ms=1_760_000_001_500),
            )
            await stores.profiles.put(user, b'{"topics":["cooking"]}')
            read = await stores.state.read(user, D)
            assert read.news is not None
            assert [(e.type, e.item_id, e.value) for e in read.news.events] == [
                ("like", "v1", 0.25),
                ("report", "v2", None),
            ]
            assert read.news.events[0].timestamp == 1_760_000_000
            assert read.news.unwanted == {"r:v2": 1_760_000_001.5}
            assert read.news.profile == {"topics": ["cooking"]}
            seconds, _ = await stores.redis("TIME")
            assert abs(read.read_at_ms / 1000 - seconds) < 60

        with_stores(redis_url, scenario)

    def test_a_merged_users_read_is_the_accounts(self, redis_url: str) -> None:
        chain = [new_user() for _ in range(MAX_MERGES + 1)]

        async def scenario(stores: Stores) -> None:
            for user, into in itertools.pairwise(chain):
                await stores.merging.seal(user, into, b"merged")
            await stores.take(chain[-1], event("e1", item="here"))
            read = await stores.state.read(chain[0], D)
            assert read.user_id == chain[-1]
            assert read.news is not None
            assert [e.item_id for e in read.news.events] == ["here"]

        with_stores(redis_url, scenario)

    def test_merges_that_lead_in_a_circle_end_in_an_error_not_in_a_loop(self, redis_url: str) -> None:
        one, other = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.merging.seal(one, other, b"merged")
            await stores.merging.seal(other, one, b"merged")
            with pytest.raises(StoreUnavailable, match="merged into each other"):
                await stores.state.read(one, D)

        with_stores(redis_url, scenario)


def test_without_redis_every_method_says_so(redis_server: RedisProcess) -> None:
    redis_server.kill()

    async def scenario(stores: Stores) -> None:
        for call in (
            stores.state.read("u", D),
            stores.state.put_list("u", D, 0, b"x"),
            stores.state.release("u", D, 0),
            stores.profiles.get("u"),
            stores.profiles.put("u", b"{}"),
            stores.erasing.erase("u"),
            stores.merging.root_of("u"),
        ):
            with pytest.raises(StoreUnavailable):
                await call

    with_stores(redis_server.url, scenario)
