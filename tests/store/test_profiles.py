from __future__ import annotations

import asyncio

from recsvc.store import keys
from tests.store.stores import Stores, new_user, with_stores


def test_what_is_put_is_given_back_until_it_is_deleted(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        assert await stores.profiles.get(user) is None
        assert await stores.profiles.put(user, b'{"a":1}')
        assert not await stores.profiles.put(user, b'{"a":2}')
        assert await stores.profiles.get(user) == b'{"a":2}'
        assert await stores.profiles.delete(user)
        assert not await stores.profiles.delete(user)
        assert await stores.profiles.get(user) is None

    with_stores(redis_url, scenario)


def test_of_writers_that_read_the_same_profile_one_succeeds(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        for expected in (None, b"0"):
            done = await asyncio.gather(
                *(stores.profiles.compare_and_put(user, expected, f"new {number}".encode()) for number in range(5))
            )
            assert done.count(True) == 1
            await stores.profiles.put(user, b"0")

    with_stores(redis_url, scenario)


def test_every_change_ends_cached_lists(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        async def sequence() -> int:
            return (await stores.state.read(user, None)).sequence

        found = [await sequence()]
        await stores.profiles.put(user, b"{}")
        found.append(await sequence())
        await stores.profiles.compare_and_put(user, b"{}", b'{"a":1}')
        found.append(await sequence())
        await stores.profiles.delete(user)
        found.append(await sequence())
        assert found == sorted(set(found))
        await stores.profiles.delete(user)
        await stores.profiles.compare_and_put(user, b"other", b"{}")
        assert await sequence() == found[-1]
        assert 0 < await stores.redis("TTL", keys.state_key(user)) <= 31 * 86_400

    with_stores(redis_url, scenario)


def test_a_merged_user_stands_for_the_account(redis_url: str) -> None:
    user, account = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        await stores.merging.seal(user, account, b"merged")
        assert await stores.profiles.put(user, b"{}")
        assert await stores.profiles.get(account) == b"{}"
        assert await stores.profiles.get(user) == b"{}"
        assert await stores.redis("EXISTS", keys.profile_key(user)) == 0

    with_stores(redis_url, scenario)
