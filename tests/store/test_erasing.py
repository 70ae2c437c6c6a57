from __future__ import annotations

import time

from recsvc.eventlog.event import LogEvent, encode
from recsvc.eventlog.position import StreamId, partition_of
from recsvc.store import keys
from tests.store.stores import Stores, event, new_user, with_stores


async def every_family(stores: Stores, user: str) -> None:
    await stores.take(user, *[event(f"e{number}", unwanted="c:c1") for number in range(600)])
    await stores.take(user, event("r", kind="report", unwanted="r:v1"))
    await stores.profiles.put(user, b'{"name":"x"}')
    await stores.state.put_list(user, "d", (await stores.state.read(user, "d")).sequence, b"x")
    other = new_user()
    await stores.merging.apply(user, await stores.merging.seal(other, user, b"merged"))


def test_every_key_of_the_user_goes_and_no_other(redis_url: str) -> None:
    user = new_user()
    neighbour = f"{user}0"

    async def scenario(stores: Stores) -> None:
        await every_family(stores, user)
        await every_family(stores, neighbour)
        kept = await stores.redis("KEYS", f"*:{neighbour}")
        families = {name.decode().split(":")[1] for name in kept}
        assert families == {"u", "recent", "dup", "no", "profile", "merged", "rec"}
        number = len(await stores.redis("KEYS", f"*:{user}"))
        erased = await stores.erasing.erase(user)
        assert erased.keys == number
        assert await stores.redis("KEYS", f"*:{user}") == []
        assert sorted(await stores.redis("KEYS", f"*:{neighbour}")) == sorted(kept)

    with_stores(redis_url, scenario)


def test_the_event_ids_of_the_days_before_go_as_well(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        await stores.take(user, event("e1"))
        today = int((await stores.redis("TIME"))[0]) // 86_400
        for day in (today - 1, today - 2):
            await stores.redis("COPY", keys.filter_key(user, today, 0), keys.filter_key(user, day, 0))
        await stores.erasing.erase(user)
        assert await stores.redis("KEYS", f"*:{user}") == []

    with_stores(redis_url, scenario)


def test_one_of_users_who_were_merged_into_each_other_can_be_erased(redis_url: str) -> None:
    one, other = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        await stores.merging.seal(one, other, b"merged")
        await stores.merging.seal(other, one, b"merged")
        await stores.erasing.erase(one)
        assert await stores.merging.root_of(other) == one
        assert await stores.take(one, event("e1")) == [False]

    with_stores(redis_url, scenario)


def test_it_names_the_end_of_the_log_and_redis_time(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        log = keys.log_key(partition_of(user))
        await stores.take(user, event("e1"))
        ((last, _),) = await stores.redis("XREVRANGE", log, "+", "-", "COUNT", 1)
        erased = await stores.erasing.erase(user)
        assert erased.until == StreamId.parse(last)
        seconds, _ = await stores.redis("TIME")
        assert 0 <= seconds + 1 - erased.erased_at < 60
        await stores.redis("XTRIM", log, "MAXLEN", 0)
        assert (await stores.erasing.erase(user)).until == erased.until

    with_stores(redis_url, scenario)


def test_without_a_stream_everything_before_this_moment_is_erased(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        await stores.redis("DEL", keys.log_key(partition_of(user)))
        erased = await stores.erasing.erase(user)
        assert abs(erased.until.milliseconds / 1000 - time.time()) < 60
        await stores.take(user, event("e1"))
        news = (await stores.state.read(user, None)).news
        assert news is not None
        assert news.events[0].id > erased.until

    with_stores(redis_url, scenario)


def test_dead_letters_of_the_user_go_and_those_of_others_stay(redis_url: str) -> None:
    user, other = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        dead = keys.dead_key(partition_of(user))
        await stores.redis("DEL", dead)
        letters = {
            b"1-0": encode(LogEvent("e1", "like", user, 1.0)),
            b"2-0": encode(LogEvent("e2", "like", other, 1.0, item_id=user)),
            b"3-0": b'{"u": "' + user.encode(),  # cut off: it may well be theirs
            b"4-0": b"\xff\xfe not even text",
            b"5-0": b"[1, 2]",
        }
        for at, payload in letters.items():
            await stores.redis("XADD", dead, at, "e", payload, "why", "poison")
        await stores.erasing.erase(user)
        assert [at for at, _ in await stores.redis("XRANGE", dead, "-", "+")] == [b"2-0", b"4-0", b"5-0"]

    with_stores(redis_url, scenario)


def test_the_same_id_comes_back_as_a_new_user(redis_url: str) -> None:
    user = new_user()

    async def scenario(stores: Stores) -> None:
        await stores.take(user, event("e1", item="before"))
        sequence = (await stores.state.read(user, None)).sequence
        erased = await stores.erasing.erase(user)
        assert (await stores.state.read(user, None)).sequence == 0
        assert await stores.take(user, event("e1", item="after")) == [False]
        read = await stores.state.read(user, None)
        assert read.sequence > sequence
        assert read.news is not None
        assert [(e.item_id, e.id > erased.until) for e in read.news.events] == [("after", True)]

    with_stores(redis_url, scenario)


def test_erasing_a_merged_user_leaves_the_account_without_a_trace_of_the_id(redis_url: str) -> None:
    user, account = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        await stores.take(user, event("e1", item="v1"))
        await stores.merging.apply(account, await stores.merging.seal(user, account, b"merged"))
        await stores.merging.finish(user)
        erased = await stores.erasing.erase(user)
        assert (erased.into, erased.merged) == (account, frozenset())
        assert await stores.events.merged_ids(account) == set()
        assert await stores.merging.root_of(user) == user
        news = (await stores.state.read(account, None)).news
        assert news is not None
        assert [e.item_id for e in news.events] == ["v1"]

    with_stores(redis_url, scenario)


def test_it_names_who_had_been_merged_into_the_user(redis_url: str) -> None:
    user, account = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        await stores.merging.apply(account, await stores.merging.seal(user, account, b"merged"))
        erased = await stores.erasing.erase(account)
        assert (erased.into, erased.merged) == (None, {user})

    with_stores(redis_url, scenario)


def test_erasing_nobody_is_no_error(redis_url: str) -> None:
    async def scenario(stores: Stores) -> None:
        assert (await stores.erasing.erase(new_user())).keys == 0

    with_stores(redis_url, scenario)
