"""What a user costs in Redis: recent events, state and a cached list, and the duplicate filter by itself.

`python -m tests.bench memory`, or by itself with other numbers: `python -m tests.bench.redis_memory --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from recsvc.eventlog.position import PARTITIONS
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.store import keys
from recsvc.store.connection import RedisConnection, connect
from recsvc.store.event_store import EventStore, IncomingEvent
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.user_state import UserState
from tests.bench.measurement import Context, Measurement
from tests.bench.report import table
from tests.redis_process import RedisProcess

_USERS: Final = 100_000
_LIST_BYTES: Final = 100 * 11 + 24
"""A hundred candidates as `serving.cached_list` writes them."""

_DIGEST: Final = "0123456789abcdef"
_EVENTS, _CALLS = 50, 5
_AT_ONCE: Final = 500
_SAMPLED: Final = 200
_FAMILIES: Final = {"state": "u", "recent events": "recent", "cached list": "rec", "duplicate filter": "dup"}


@dataclass(frozen=True)
class Cost:
    """Bytes. `total` per user without the filter; `families` averages of MEMORY USAGE over sampled users."""

    total: float
    filter_per_event: float
    families: dict[str, float]
    seconds: float


def measure(context: Context, users: int = _USERS, list_bytes: int = _LIST_BYTES) -> list[Measurement]:
    """Users with 50 events of 24-byte item ids, every other one with a value, sent through the service's own store in
    five calls, and one cached list each. The stream is trimmed on the way, as a worker would.

    Totals are differences of Redis' `used_memory`, so its tables and what its allocator rounds up are in them; the
    families' averages leave the tables out.
    """
    directory = context.scratch / "redis"
    directory.mkdir()
    redis = RedisProcess(directory)  # without its file on disk: that takes time, not memory
    redis.start()
    try:
        cost = asyncio.run(_fill_and_weigh(redis.url, users, list_bytes))
    finally:
        redis.kill()
    details = {"users": users, "events": _EVENTS, "list_bytes": list_bytes, "fill_seconds": round(cost.seconds, 1)}
    parts = ", ".join(f"{name} {size:,.0f}" for name, size in cost.families.items())
    return [
        Measurement(
            f"Redis memory a user, {_EVENTS} events and a list",
            "bytes",
            cost.total,
            target=4096,
            notes=[f"{users:,} users; averages by MEMORY USAGE: {parts} bytes"],
            details=details | {"memory_usage": cost.families},
        ),
        Measurement("Redis duplicate filter an event", "bytes", cost.filter_per_event, target=16, details=details),
    ]


async def _fill_and_weigh(url: str, users: int, list_bytes: int) -> Cost:
    await _fill(url, 1, list_bytes)  # Redis learns the scripts
    async with _connected(url) as connection:
        await _command(connection, "FLUSHALL")
        empty = await _used(connection)
    started = time.perf_counter()
    await _fill(url, users, list_bytes)
    seconds = time.perf_counter() - started
    async with _connected(url) as connection:  # a new one: buffers of that which filled are not the users'
        families = {name: await _average(connection, family, users) for name, family in _FAMILIES.items()}
        for partition in range(PARTITIONS):
            await _command(connection, "DEL", keys.log_key(partition))
        full = await _used(connection)
        await _delete(connection, "dup")
        without_filter = await _used(connection)
    return Cost((without_filter - empty) / users, (full - without_filter) / users / _EVENTS, families, seconds)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[RedisConnection]:
    connection = connect(url, timeout_milliseconds=60_000)
    try:
        yield connection
    finally:
        await connection.aclose()


async def _fill(url: str, users: int, list_bytes: int) -> None:
    async with _connected(url) as connection:
        pipeline = ScriptPipeline(connection)
        store = EventStore(pipeline, max_unwritten_events=1_000_000_000)
        state = UserState(pipeline, EVENT_TYPES, list_ttl_seconds=86_400)
        for first in range(0, users, _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, users))
            await _happen(store, some)
            await _cache(state, some, list_bytes)
            for partition in range(PARTITIONS):
                await _command(connection, "XTRIM", keys.log_key(partition), "MAXLEN", 0)
        await pipeline.aclose()


async def _happen(store: EventStore, users: range) -> None:
    now = time.time()
    for call in range(_CALLS):
        results = await store.ingest([(_user(user), _events(user, call, now)) for user in users], int(now * 1000))
        assert all(known is False for result in results for known in result.duplicate)


async def _cache(state: UserState, users: range, list_bytes: int) -> None:
    reads = await asyncio.gather(*(state.read(_user(user), _DIGEST) for user in users))
    await asyncio.gather(
        *(state.put_list(read.user_id, _DIGEST, read.sequence, random.randbytes(list_bytes)) for read in reads)
    )


def _user(number: int) -> str:
    return f"user-{number:019d}"


def _events(user: int, call: int, now: float) -> list[IncomingEvent]:
    events = []
    for number in range(call * _EVENTS // _CALLS, (call + 1) * _EVENTS // _CALLS):
        kind, value = ("view", 0.5) if number % 2 else ("like", None)
        item = f"item-{random.randrange(41_000):019d}"
        recent = (TYPE_CODES[kind], now - random.randrange(60), value, item)
        events.append(IncomingEvent(f"{user}-{number}", b"x" * 200, recent))
    return events


async def _average(connection: RedisConnection, family: str, users: int) -> float:
    names = {"u": keys.state_key, "recent": keys.recent_key, "rec": keys.lists_key}
    today = (await _command(connection, "TIME"))[0] // 86_400
    sizes = []
    for number in random.sample(range(users), min(_SAMPLED, users)):
        user = _user(number)
        name = names[family](user) if family in names else keys.filter_key(user, today, 0)
        sizes.append(await _command(connection, "MEMORY", "USAGE", name, "SAMPLES", 0) or 0)
    return mean(sizes)


async def _delete(connection: RedisConnection, family: str) -> None:
    cursor = -1
    while cursor:
        cursor, names = await _command(connection, "SCAN", max(cursor, 0), "MATCH", f"{{p*}}:{family}:*", "COUNT", 5000)
        if names:
            await _command(connection, "DEL", *names)


async def _used(connection: RedisConnection) -> int:
    return int((await _command(connection, "INFO", "memory"))["used_memory"])


async def _command(connection: RedisConnection, *words: Any) -> Any:
    return await connection.run(lambda redis: redis.execute_command(*words))


def main() -> None:
    """Prints the table for other numbers than the benchmark's."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.redis_memory")
    parser.add_argument("--users", type=int, default=_USERS)
    parser.add_argument("--list-bytes", type=int, default=_LIST_BYTES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recsvc-bench-") as scratch:
        print(table(measure(Context(Path("data"), Path(scratch)), chosen.users, chosen.list_bytes)))


if __name__ == "__main__":
    main()
