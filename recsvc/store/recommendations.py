"""Cached recommendation lists, and the mark of the one worker that computes a missing one."""

from __future__ import annotations

import random
import secrets
from typing import Final, cast

from redis.asyncio import Redis

from recsvc.store.connection import RedisConnection
from recsvc.store.keys import computation_key, recommendations_key

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class RecommendationCache:
    """Lists as bytes, per user, model version and digest of the request's parameters.

    Every method is one round trip and raises `StoreUnavailable`.
    """

    def __init__(self, connection: RedisConnection, ttl_seconds: int) -> None:
        self._connection = connection
        self._ttl_milliseconds = ttl_seconds * 1000
        self._token = secrets.token_hex(16)

    async def get(self, user_id: str, model: str, digest: str) -> bytes | None:
        """The cached list, or None."""
        key = recommendations_key(user_id, model, digest)

        async def call(redis: Redis) -> bytes | None:
            return cast("bytes | None", await redis.get(key))

        return await self._connection.run(call)

    async def put(self, user_id: str, model: str, digest: str, value: bytes) -> None:
        """Caches the list for 90 to 100 % of the TTL: what was cached together must not expire together."""
        key = recommendations_key(user_id, model, digest)
        milliseconds = max(1, int(self._ttl_milliseconds * random.uniform(0.9, 1.0)))  # noqa: S311
        await self._connection.run(lambda redis: redis.set(key, value, px=milliseconds))

    async def acquire(self, user_id: str, model: str, digest: str, milliseconds: int) -> bool:
        """Whether the caller is the one worker to compute this list; the mark goes by itself after `milliseconds`.

        Within a process one computation at a time is the caller's to see to; this is between processes.
        """
        key = computation_key(user_id, model, digest)

        async def call(redis: Redis) -> bool:
            return bool(await redis.set(key, self._token, nx=True, px=milliseconds))

        return await self._connection.run(call)

    async def release(self, user_id: str, model: str, digest: str) -> bool:
        """Takes the mark away if it is this cache's own; says whether it was."""
        key = computation_key(user_id, model, digest)

        async def call(redis: Redis) -> bool:
            return bool(await redis.eval(_RELEASE, 1, key, self._token))

        return await self._connection.run(call)
