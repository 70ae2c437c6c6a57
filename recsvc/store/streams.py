"""The partitions' streams of events, as the worker reads, trims and clears them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from recsvc.eventlog.position import StreamId
from recsvc.store.connection import RedisConnection
from recsvc.store.keys import dead_key, log_key

PAYLOAD_FIELD: Final = b"e"
_DEAD_LETTERS: Final = 1_000
_DEAD_LETTER_SECONDS: Final = 30 * 86_400

_PUT_ASIDE: Final = """
-- ARGV: most entries, seconds, then id, payload, reason of each. An id that is not above the last one is there already.
for at = 3, #ARGV, 3 do
  redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[at], 'e', ARGV[at + 1], 'why', ARGV[at + 2])
end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

_RAISE: Final = """
-- ARGV: an id. The entry is gone at once; that there was one with this id stays.
local added = redis.pcall('XADD', KEYS[1], ARGV[1], 'e', '')
if type(added) == 'string' then redis.call('XDEL', KEYS[1], ARGV[1]) end
return 1
"""

Entry = tuple[StreamId, bytes | dict[bytes, bytes]]
"""The id of an entry and its payload; all of its fields when it has none."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that cannot be written, under its own stream id, and why."""

    id: StreamId
    payload: bytes
    reason: str


async def lengths(connection: RedisConnection, partitions: Sequence[int]) -> dict[int, int]:
    """How many entries each stream has. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for partition in partitions:
            pipeline.xlen(log_key(partition))
        return await pipeline.execute()

    found = await connection.run(call) if partitions else []
    return dict(zip(partitions, found, strict=True))


async def read(connection: RedisConnection, after: Mapping[int, StreamId], limit: int) -> dict[int, list[Entry]]:
    """At most `limit` entries of each partition that follow the given id, in order. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> list[Any]:
        pipeline = redis.pipeline(transaction=False)
        for partition, start in after.items():
            # For a name in bytes redis-py has no converter: its dictionary per entry costs as much as the reading.
            pipeline.execute_command(b"XRANGE", log_key(partition), f"({start}", "+", "COUNT", limit)
        return await pipeline.execute()

    streams = await connection.run(call) if after else []
    return {
        partition: [_entry(entry_id, fields) for entry_id, fields in entries]
        for partition, entries in zip(after, streams, strict=True)
    }


async def trim(connection: RedisConnection, ends: Mapping[int, StreamId]) -> None:
    """Removes what is in the log: entries up to and with the given ids, and no other. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> None:
        pipeline = redis.pipeline(transaction=False)
        for partition, end in ends.items():
            pipeline.xtrim(log_key(partition), minid=f"{end.milliseconds}-{end.sequence + 1}", approximate=False)
        await pipeline.execute()

    if ends:
        await connection.run(call)


async def put_aside(connection: RedisConnection, letters: Mapping[int, Sequence[DeadLetter]]) -> None:
    """Adds dead letters, in the order of their ids; one that is there already stays one. Raises `StoreUnavailable`."""

    async def call(redis: Redis) -> None:
        pipeline = redis.pipeline(transaction=False)
        for partition, found in letters.items():
            arguments = [part for letter in found for part in (str(letter.id), letter.payload, letter.reason)]
            pipeline.eval(_PUT_ASIDE, 1, dead_key(partition), _DEAD_LETTERS, _DEAD_LETTER_SECONDS, *arguments)
        await pipeline.execute()

    if letters:
        await connection.run(call)


async def raise_ids(connection: RedisConnection, ends: Mapping[int, StreamId]) -> None:
    """Has the streams go on above the given ids. Raises `StoreUnavailable`.

    A stream does so by itself. But where Redis lost its data while the clock was set back, new entries would get ids
    that the log has passed already, and would be taken for written.
    """

    async def call(redis: Redis) -> None:
        pipeline = redis.pipeline(transaction=False)
        for partition, end in ends.items():
            pipeline.eval(_RAISE, 1, log_key(partition), str(end))
        await pipeline.execute()

    if ends:
        await connection.run(call)


def _entry(entry_id: bytes, fields: list[bytes]) -> Entry:
    milliseconds, _, sequence = entry_id.partition(b"-")
    at = StreamId(int(milliseconds), int(sequence))
    if len(fields) == 2 and fields[0] == PAYLOAD_FIELD:
        return at, fields[1]
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return at, named.get(PAYLOAD_FIELD, named)
