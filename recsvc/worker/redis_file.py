"""Redis' append-only file, which has the commands that wrote the keys of erased users until it is rewritten."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Final

from redis.asyncio import Redis

from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.keys import REWRITTEN_KEY

logger = logging.getLogger(__name__)

_BETWEEN_SECONDS: Final = 3600.0
_SETTLED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 30.0


class RedisFile:
    """Asks Redis to rewrite the file after erasures, once an hour at most.

    An erasure is left alone until the worker has certainly dropped the user's waiting events, or the new file would
    have them. Up to when erasures are covered stands in Redis, so that a restart forgets none.
    """

    def __init__(self, connection: RedisConnection, flush_seconds: float) -> None:
        self._connection = connection
        self._settle_seconds = _SETTLED_SECONDS + 2 * flush_seconds
        self._next_look_at = 0.0

    async def look(self, tombstones: Tombstones) -> None:
        """Has the file rewritten where that is due. Raises `StoreUnavailable`."""
        if not len(tombstones) or time.monotonic() < self._next_look_at:
            return
        self._next_look_at = time.monotonic() + _LOOK_SECONDS
        covered = await self._connection.run(_read)
        settled = time.time() - self._settle_seconds
        if not rewrite_due((tombstone.erased_at for tombstone in tombstones), covered, settled):
            return
        try:
            await self._connection.run(_rewrite)
        except StoreUnavailable as exc:
            logger.info("Redis does not rewrite its append-only file on request: %s", exc)
            return
        await self._connection.run(lambda redis: redis.set(REWRITTEN_KEY, f"{settled:.3f}"))


def rewrite_due(erased_at: Iterable[float], covered: float, settled: float) -> bool:
    """Whether an erasure later than `covered` has settled, and the last rewrite is an hour ago. Unix seconds all."""
    return settled - covered >= _BETWEEN_SECONDS and any(covered < at <= settled for at in erased_at)


async def _read(redis: Redis) -> float:
    value = await redis.get(REWRITTEN_KEY)
    return 0.0 if value is None else float(value)


async def _rewrite(redis: Redis) -> object:
    return await redis.bgrewriteaof()
