from __future__ import annotations

import asyncio

import pytest

from recsvc.eventlog.position import partition_of
from recsvc.store import keys
from recsvc.store.errors import StoreUnavailable
from tests.store.stores import Stores, event, new_user, with_stores


async def merge(stores: Stores, user: str, into: str) -> bool:
    sealed = await stores.merging.seal(user, into, b"merged")
    applied = await stores.merging.apply(into, sealed)
    await stores.merging.finish(user)
    return applied.changed


async def items_of(stores: Stores, user: str) -> list[str]:
    news = (await stores.state.read(user, None)).news
    assert news is not None
    return [event.item_id for event in news.events]


class TestMerge:
    def test_recent_events_come_over_in_the_order_they_arrived(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            for number, who in enumerate((user, account, account, user, account)):
                await stores.take(who, event(f"e{number}", item=f"v{number}", value=number / 2))
                await asyncio.sleep(0.002)  # so that no two share a millisecond
            before = (await stores.state.read(account, None)).sequence
            assert await merge(stores, user, account)
            read = await stores.state.read(account, None)
            assert read.sequence == before + 1
            assert read.news is not None
            events = read.news.events
            assert [e.item_id for e in events] == ["v0", "v1", "v2", "v3", "v4"]
            assert [e.value for e in events] == [0.0, 0.5, 1.0, 1.5, 2.0]
            own, other = partition_of(account), partition_of(user)
            assert [e.partition for e in events] == [other, own, own, other, own]

        with_stores(redis_url, scenario)

    def test_unwanted_and_merged_users_come_over(self, redis_url: str) -> None:
        first, user, account = new_user(), new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await merge(stores, first, user)
            await stores.take(user, event("e1", item=None, unwanted="c:c1", unwanted_ms=5000))
            await stores.take(user, event("e2", kind="report", unwanted="r:v1", unwanted_ms=1000))
            await stores.take(account, event("e3", item=None, unwanted="c:c1", unwanted_ms=3000))
            await merge(stores, user, account)
            news = (await stores.state.read(first, None)).news
            assert news is not None
            assert news.unwanted == {"c:c1": 5.0, "r:v1": 1.0}
            assert await stores.redis("TTL", keys.unwanted_key(account)) == -1
            assert await stores.events.merged_ids(account) == {first, user}

        with_stores(redis_url, scenario)

    def test_the_log_is_told_once(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            payload = f"{user} merged".encode()
            for _ in range(3):
                await stores.merging.seal(user, account, payload)
            entries = await stores.redis("XRANGE", keys.log_key(partition_of(user)), "-", "+")
            assert [fields[b"e"] for _, fields in entries].count(payload) == 1

        with_stores(redis_url, scenario)

    def test_the_newest_200_of_both_are_kept(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, *[event(f"e{n}", item=f"v{n}") for n in range(150)])
            await asyncio.sleep(0.002)
            await stores.take(account, *[event(f"e{n}", item=f"w{n}") for n in range(150)])
            lost = (await stores.state.read(user, None)).news
            assert lost is not None
            await merge(stores, user, account)
            assert await items_of(stores, account) == [f"v{n}" for n in range(100, 150)] + [f"w{n}" for n in range(150)]
            news = (await stores.state.read(account, None)).news
            assert news is not None
            assert news.dropped == (partition_of(user), lost.events[99].id)
            assert 0 < await stores.redis("TTL", keys.recent_key(account)) <= 31 * 86_400

        with_stores(redis_url, scenario)

    def test_what_was_lost_last_stays_noted_when_older_events_are_lost_after_it(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(account, event("e0", item="oldest"))
            await asyncio.sleep(0.002)
            await stores.take(user, *[event(f"e{n}", item="v") for n in range(201)])
            await stores.redis("LTRIM", keys.recent_key(user), 0, 9)  # as if these had come with an earlier merge
            lost = (await stores.state.read(user, None)).news
            assert lost is not None
            await merge(stores, user, account)
            await stores.take(account, *[event(f"f{n}", item="w") for n in range(190)])
            news = (await stores.state.read(account, None)).news
            assert news is not None
            assert news.events[0].item_id == "v"
            assert news.dropped == lost.dropped

        with_stores(redis_url, scenario)

    def test_nothing_of_the_merged_user_is_left_but_the_way_and_the_ids_of_events(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", unwanted="c:c1"))
            await stores.state.put_list(user, "d", (await stores.state.read(user, "d")).sequence, b"x")
            await merge(stores, user, account)
            names = await stores.redis("KEYS", f"*:{user}")
            assert {name.decode().split(":")[1] for name in names} == {"u", "dup"}
            assert await stores.redis("TTL", keys.state_key(user)) == -1
            assert await stores.take(user, event("e1"), event("e2")) == [True, None]

        with_stores(redis_url, scenario)

    def test_more_merged_users_than_are_kept_leave_the_oldest_out(self, redis_url: str) -> None:
        account = new_user()

        async def scenario(stores: Stores) -> None:
            fields = [part for number in range(1000) for part in (f"old{number}", f"1760000000{number:03d}-0")]
            await stores.redis("HSET", keys.merged_key(account), *fields)
            user = new_user()
            await merge(stores, user, account)
            merged = await stores.events.merged_ids(account)
            assert len(merged) == 1000
            assert user in merged
            assert "old0" not in merged

        with_stores(redis_url, scenario)


class TestRetries:
    @pytest.mark.parametrize("crashed_after", ["seal", "apply", "finish"])
    def test_a_merge_that_ended_anywhere_is_completed_by_another_try(self, redis_url: str, crashed_after: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", item="v1"))
            await stores.take(account, event("e1", item="v2"))
            sealed = await stores.merging.seal(user, account, b"merged")
            if crashed_after != "seal":
                await stores.merging.apply(account, sealed)
            if crashed_after == "finish":
                await stores.merging.finish(user)
            assert await merge(stores, user, account) == (crashed_after == "seal")
            assert sorted(await items_of(stores, account)) == ["v1", "v2"]

        with_stores(redis_url, scenario)

    def test_a_target_that_was_merged_meanwhile_says_whom_to_go_to(self, redis_url: str) -> None:
        user, account, root = new_user(), new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", item="v1"))
            sealed = await stores.merging.seal(user, account, b"merged")
            await merge(stores, account, root)
            applied = await stores.merging.apply(account, sealed)
            assert (applied.changed, applied.moved_to) == (False, root)
            assert (await stores.merging.apply(root, sealed)).changed
            assert await items_of(stores, user) == ["v1"]

        with_stores(redis_url, scenario)

    def test_a_merged_user_stays_where_it_went(self, redis_url: str) -> None:
        user, account, other = new_user(), new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await merge(stores, user, account)
            sealed = await stores.merging.seal(user, other, b"merged")
            assert sealed.into == account
            assert await stores.merging.root_of(user) == account

        with_stores(redis_url, scenario)

    def test_a_user_who_came_back_after_an_erasure_can_be_merged_again(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", item="first"))
            await merge(stores, user, account)
            await stores.erasing.erase(user, forget=False)
            await stores.take(user, event("e1", item="second"))
            assert await merge(stores, user, account)
            assert await items_of(stores, account) == ["first", "second"]

        with_stores(redis_url, scenario)

    def test_finishing_a_user_who_is_not_merged_removes_nothing(self, redis_url: str) -> None:
        user = new_user()

        async def scenario(stores: Stores) -> None:
            await stores.take(user, event("e1", item="v1"))
            await stores.merging.finish(user)
            assert await items_of(stores, user) == ["v1"]

        with_stores(redis_url, scenario)

    def test_one_who_comes_too_late_merges_nobody(self, redis_url: str) -> None:
        user, account = new_user(), new_user()

        async def scenario(stores: Stores) -> None:
            seconds, _ = await stores.redis("TIME")
            await stores.take(user, event("e1", item="v1"))
            before = await stores.redis("XLEN", keys.log_key(partition_of(user)))
            with pytest.raises(StoreUnavailable, match="took too long"):
                await stores.merging.seal(user, account, b"merged", seconds * 1000)
            assert await stores.merging.root_of(user) == user
            assert await stores.redis("XLEN", keys.log_key(partition_of(user))) == before
            sealed = await stores.merging.seal(user, account, b"merged", (seconds + 60) * 1000)
            assert await stores.merging.seal(user, account, b"merged", seconds * 1000) == sealed

        with_stores(redis_url, scenario)

    def test_nobody_is_merged_into_themselves(self, redis_url: str) -> None:
        async def scenario(stores: Stores) -> None:
            with pytest.raises(ValueError, match="itself"):
                await stores.merging.seal("u", "u", b"merged")

        with_stores(redis_url, scenario)
