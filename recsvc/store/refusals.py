"""Why a Redis that answers would refuse what is written to it."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from recsvc.store.connection import RedisConnection


async def why_writes_fail(connection: RedisConnection) -> str | None:
    """The reason, or None when writes succeed or this Redis keeps INFO to itself. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> list[dict[str, Any]]:
        pipeline = redis.pipeline(transaction=False)
        pipeline.info("replication")
        pipeline.info("memory")
        try:
            return await pipeline.execute()
        except ResponseError:
            return []

    found: dict[str, Any] = {name: value for part in await connection.run(call) for name, value in part.items()}
    if found.get("role") == "slave" and found.get("slave_read_only") == 1:
        return "Redis is a replica and takes no writes"
    limit = found.get("maxmemory", 0)
    used = found.get("used_memory", 0) - found.get("mem_not_counted_for_evict", 0)
    if limit and used > limit and found.get("maxmemory_policy") == "noeviction":
        return "Redis is full (maxmemory)"
    return None
