"""The event workers: who is alive, who has which partition, and what waits for them.

`{workers}` is a hash, worker id → Unix milliseconds (by Redis' clock) when it was last heard of; who was not heard of
for `DEAD_AFTER_SECONDS` is taken out by the others, and a day after the last one it expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from recsvc.eventlog.position import PARTITIONS
from recsvc.store.connection import RedisConnection
from recsvc.store.keys import WORKERS_KEY, dead_key, lease_key, log_key

DEAD_AFTER_SECONDS: Final = 5.0
"""A worker that was silent for so long has its partitions taken over."""

_LEASE_MILLISECONDS: Final = 3_600_000

_BEAT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], 86400000)
local live = {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if now - tonumber(all[at + 1]) > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], all[at])
  else
    live[#live + 1] = all[at]
  end
end
return live
"""

_LIVE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local live = 0
for _, heard in ipairs(redis.call('HVALS', KEYS[1])) do
  if now - tonumber(heard) <= tonumber(ARGV[1]) then live = live + 1 end
end
return live
"""

_CLAIM: Final = """
-- ARGV: worker, milliseconds, then the live workers. A lease of one who is not among them is free.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  for at = 3, #ARGV do
    if ARGV[at] == owner then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """Live event workers; events that wait in the streams for one; entries that were put aside as unreadable."""

    live: int
    unwritten: int
    dead_letters: int


async def worker_summary(connection: RedisConnection) -> WorkerSummary:
    """How the writing of events stands, in one round trip. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        pipeline.eval(_LIVE, 1, WORKERS_KEY, int(DEAD_AFTER_SECONDS * 1000))
        for key in (log_key, dead_key):
            for partition in range(PARTITIONS):
                pipeline.xlen(key(partition))
        return await pipeline.execute()

    live, *lengths = await connection.run(call)
    return WorkerSummary(int(live), sum(lengths[:PARTITIONS]), sum(lengths[PARTITIONS:]))


async def beat(connection: RedisConnection, worker_id: str) -> list[str]:
    """Says that this worker is alive; returns all that are, sorted. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> Any:
        return await redis.eval(_BEAT, 1, WORKERS_KEY, worker_id, int(DEAD_AFTER_SECONDS * 1000))

    return sorted(name.decode("utf-8") for name in await connection.run(call))


async def owners(connection: RedisConnection, partitions: Sequence[int]) -> dict[int, str | None]:
    """Who holds the lease of each partition; None: nobody. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for partition in partitions:
            pipeline.get(lease_key(partition))
        return await pipeline.execute()

    names = await connection.run(call) if partitions else []
    return {
        partition: None if name is None else name.decode("utf-8")
        for partition, name in zip(partitions, names, strict=True)
    }


async def claim(
    connection: RedisConnection, partitions: Iterable[int], worker_id: str, live: Sequence[str]
) -> set[int]:
    """Takes, or renews, the leases that no other live worker holds; returns those. Raises `StoreUnavailable`."""
    wanted = sorted(partitions)

    async def call(redis: Redis) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for partition in wanted:
            pipeline.eval(_CLAIM, 1, lease_key(partition), worker_id, _LEASE_MILLISECONDS, *live)
        return await pipeline.execute()

    taken = await connection.run(call) if wanted else []
    return {partition for partition, mine in zip(wanted, taken, strict=True) if mine}


async def release(connection: RedisConnection, partitions: Iterable[int], worker_id: str) -> None:
    """Gives back the leases that are this worker's. Raises `StoreUnavailable`."""
    given = sorted(partitions)

    async def call(redis: Redis) -> None:
        pipeline = redis.pipeline(transaction=False)
        for partition in given:
            pipeline.eval(_RELEASE, 1, lease_key(partition), worker_id)
        await pipeline.execute()

    if given:
        await connection.run(call)


async def retire(connection: RedisConnection, worker_id: str) -> None:
    """Takes this worker out, so that nobody waits for it to be dead. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> Any:
        return await redis.hdel(WORKERS_KEY, worker_id)

    await connection.run(call)
