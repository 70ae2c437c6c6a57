"""The scripts keep to one slot each: Redis Cluster refuses one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_process import RedisProcess
from tests.store.stores import Stores, event, new_user, with_stores


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster of one."""
    process = RedisProcess(tmp_path, "--cluster-enabled", "yes")
    while process.port > 55_535:  # its nodes would talk to each other on a port 10,000 higher
        process = RedisProcess(tmp_path, "--cluster-enabled", "yes")
    process.start()
    yield process.url
    process.kill()


async def become_whole(stores: Stores) -> None:
    await stores.redis("CLUSTER", "ADDSLOTS", *range(16_384))
    for _ in range(1000):
        if b"cluster_state:ok" in await stores.redis("CLUSTER", "INFO"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the cluster did not become whole")


def test_every_script_runs_on_a_cluster(cluster: str) -> None:
    user, account = new_user(), new_user()

    async def scenario(stores: Stores) -> None:
        await become_whole(stores)
        for who in (user, account):
            for start in (0, 300, 600):
                many = [event(f"e{number}", unwanted="c:c1") for number in range(start, start + 300)]
                assert await stores.take(who, *many) == [False] * 300
            await stores.profiles.put(who, b"{}")
            assert await stores.profiles.compare_and_put(who, b"{}", b'{"a":1}')
            read = await stores.state.read(who, "d")
            await stores.state.release(who, "d", read.sequence)
            await stores.state.put_list(who, "d", read.sequence, b"x")
        sealed = await stores.merging.seal(user, account, b"merged")
        assert (await stores.merging.apply(account, sealed)).changed
        await stores.merging.finish(user)
        assert await stores.merging.root_of(user) == account
        assert await stores.events.merged_ids(account) == {user}
        assert (await stores.erasing.erase(user)).into == account
        assert await stores.redis("KEYS", f"*:{user}") == []
        await stores.erasing.erase(account)
        assert await stores.redis("KEYS", f"*:{account}") == []

    with_stores(cluster, scenario)
