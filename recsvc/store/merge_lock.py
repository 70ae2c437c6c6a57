"""One merge of users at a time: two that cross could otherwise leave two users that were merged into each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.keys import MERGES_KEY

_LIFETIME_MS: Final = 10_000
_PATIENCE_SECONDS: Final = _LIFETIME_MS / 1000 + 1
"""Longer than the lock of a process that died blocks the others."""
_SPARE_SECONDS: Final = 3.0
"""What must be left of the lock's life for a step: a step takes no longer than the longest wait for Redis."""
_PAUSE_SECONDS: Final = 0.02
_TAKE: Final = """
local time = redis.call('TIME')
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
end
return 0
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """A lock that was taken. `until_ms` when it goes, Unix milliseconds of Redis' clock: whoever is paused while
    holding it may wake after another took it, so `Merging.seal` asks for this. The user's keys and the lock are in
    different slots of a cluster: no script can look at both."""

    until_ms: int
    ends_at: float

    def check(self) -> None:
        """Raises `StoreUnavailable` when little is left of the lock's life, by this machine's clock, which goes on
        while the process is paused: a cluster's nodes need not agree on the time."""
        if time.monotonic() + _SPARE_SECONDS > self.ends_at:
            raise StoreUnavailable("a merge of users took too long; send it again")


class MergeLock:
    """It goes by itself after ten seconds, longer than the few round trips of a merge take."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Holding]:
        """Holds the lock, waiting for it until it would have gone by itself. Raises `StoreUnavailable`, also when it
        stays taken."""
        token = secrets.token_hex(16)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            asked_at = time.monotonic()
            until_ms = await self._take(token)
            if until_ms:
                break
            if time.monotonic() > give_up_at:
                raise StoreUnavailable("other merges of users take too long")
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            yield Holding(until_ms, asked_at + _LIFETIME_MS / 1000)
        finally:
            await self._release(token)

    async def _take(self, token: str) -> int:
        async def call(redis: Redis) -> int:
            return int(await redis.eval(_TAKE, 1, MERGES_KEY, token, _LIFETIME_MS))

        return await self._connection.run(call)

    async def _release(self, token: str) -> None:
        async def call(redis: Redis) -> None:
            await redis.eval(_RELEASE, 1, MERGES_KEY, token)

        try:
            await self._connection.run(call)
        except StoreUnavailable:
            return  # it goes by itself
