from __future__ import annotations

from recsvc.store import keys
from tests.store.stores import Stores, event, new_user, with_stores

DAY = 86_400


async def today(stores: Stores) -> int:
    seconds, _ = await stores.redis("TIME")
    return int(seconds) // DAY


class TestDuplicates:
    def test_an_event_sent_again_is_a_duplicate_and_changes_nothing(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert await stores.take(user, event("e1"), event("e2"), event("e1")) == [False, False, True]
            before = await stores.state.read(user, None)
            assert await stores.take(user, event("e2"), event("e1")) == [True, True]
            after = await stores.state.read(user, None)
            assert (before.sequence, before.news) == (after.sequence, after.news)

        with_stores(redis_url, scenario)

    def test_the_same_id_of_two_users_is_two_events(self, redis_url: str) -> None:
        async def scenario(stores: Stores) -> None:
            assert await stores.take(new_user(), event("same")) == [False]
            assert await stores.take(new_user(), event("same")) == [False]

        with_stores(redis_url, scenario)

    def test_what_was_accepted_yesterday_is_known_today(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            assert await stores.take(user, event("e1")) == [False]
            day = await today(stores)
            await stores.redis("RENAME", keys.filter_key(user, day, 0), keys.filter_key(user, day - 1, 0))
            await stores.redis("HSET", keys.state_key(user), "day", (day - 1) * 128)
            assert await stores.take(user, event("e1"), event("e2")) == [True, False]
            assert await stores.take(user, event("e1"), event("e2")) == [True, True]

        with_stores(redis_url, scenario)

    def test_buckets_of_yesterday_are_all_looked_in(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            first = [event(f"e{number}", item=None) for number in range(1000)]
            await stores.take(user, *first)
            day = await today(stores)
            for bucket in (0, 1):
                await stores.redis("RENAME", keys.filter_key(user, day, bucket), keys.filter_key(user, day - 1, bucket))
            await stores.redis("HSET", keys.state_key(user), "day", (day - 1) * 128 + 16)
            assert await stores.take(user, *first) == [True] * 1000

        with_stores(redis_url, scenario)

    def test_the_filter_stays_in_its_small_form_for_thousands_of_events(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            for start in range(0, 2000, 400):
                batch = [event(f"e{number}", item=None) for number in range(start, start + 400)]
                assert await stores.take(user, *batch, batch[0]) == [False] * 400 + [True]
            day = await today(stores)
            names = [keys.filter_key(user, day, bucket) for bucket in range(4)]
            assert [await stores.redis("SCARD", name) for name in names] == [512, 512, 512, 464]
            assert {await stores.redis("OBJECT", "ENCODING", name) for name in names} == {b"intset"}
            assert await stores.take(user, *[event(f"e{number}") for number in range(0, 2000, 2)]) == [True] * 1000

        with_stores(redis_url, scenario)

    def test_beyond_eight_buckets_the_last_one_takes_what_comes(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            for start in range(0, 5000, 1000):
                batch = [event(f"e{number}", item=None) for number in range(start, start + 1000)]
                assert await stores.take(user, *batch) == [False] * 1000
            assert await stores.redis("SCARD", keys.filter_key(user, await today(stores), 7)) == 5000 - 7 * 512
            assert await stores.take(user, *batch, event("e0")) == [True] * 1001

        with_stores(redis_url, scenario)

    def test_ids_are_kept_until_the_end_of_the_next_day(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1"))
            day = await today(stores)
            left = await stores.redis("TTL", keys.filter_key(user, day, 0))
            assert DAY < left <= 2 * DAY

        with_stores(redis_url, scenario)
