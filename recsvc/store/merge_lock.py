"""One merge of users at a time: two that cross could otherwise leave two users that were merged into each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis

from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.keys import MERGES_KEY

_LIFETIME_MS: Final = 10_000
_PATIENCE_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.02
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class MergeLock:
    """It goes by itself after ten seconds, longer than the few round trips of a merge take."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lock, waiting a few seconds for it. Raises `StoreUnavailable`, also when it stays taken."""
        token = secrets.token_hex(16)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not await self._take(token):
            if time.monotonic() > give_up_at:
                raise StoreUnavailable("other merges of users take too long")
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            await self._release(token)

    async def _take(self, token: str) -> bool:
        async def call(redis: Redis) -> bool:
            return bool(await redis.set(MERGES_KEY, token, nx=True, px=_LIFETIME_MS))

        return await self._connection.run(call)

    async def _release(self, token: str) -> None:
        async def call(redis: Redis) -> None:
            await redis.eval(_RELEASE, 1, MERGES_KEY, token)

        try:
            await self._connection.run(call)
        except StoreUnavailable:
            return  # it goes by itself
