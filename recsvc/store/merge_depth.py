"""How long the way to a user is from those who were merged into that one."""

from __future__ import annotations

from collections.abc import Iterable

from redis.asyncio import Redis

from recsvc.store.connection import RedisConnection
from recsvc.store.keys import state_key


async def longest_way(connection: RedisConnection, user_id: str, merged: Iterable[str]) -> int:
    """The most merges in a row that lead to `user_id` from any of `merged`; 0 when there are none.

    Raises `StoreUnavailable`.
    """
    ids = sorted(merged)

    async def call(redis: Redis) -> list[bytes | None]:
        pipeline = redis.pipeline(transaction=False)
        for one in ids:
            pipeline.hget(state_key(one), "into")
        found: list[bytes | None] = await pipeline.execute()
        return found

    if not ids:
        return 0
    into = {
        one: target.decode("utf-8")
        for one, target in zip(ids, await connection.run(call), strict=True)
        if target is not None
    }
    return max(_steps(one, user_id, into) for one in ids)


def _steps(one: str, user_id: str, into: dict[str, str]) -> int:
    steps = 0
    while one != user_id and one in into and steps <= len(into):
        one = into[one]
        steps += 1
    return steps
