"""Packed commands sent together, on connections that are kept at hand.

redis-py's pool and pipeline spend several times on a command what the exchange itself takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from recsvc.store.connection import RedisConnection


class Exchange:
    """Sends commands for one user of a connection, who has few exchanges under way at a time: each takes a connection
    out of the pool, and all of them stay out of it until the pool is closed."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._at_hand: list[Any] = []

    async def replies(self, commands: Sequence[bytes]) -> list[Any]:
        """The replies to packed commands, in order; one that Redis refused has a `ResponseError` in its place. Raises
        `StoreUnavailable`."""

        async def exchange(redis: Redis) -> list[Any]:
            pool: Any = redis.connection_pool  # redis-py's annotations stop here
            connection = await self._taken(pool)
            try:
                found = await _exchanged(connection, commands)
            except BaseException:
                # Replies that nobody read would be taken for those of the next one who has the connection.
                await connection.disconnect(nowait=True)
                await pool.release(connection)
                raise
            self._at_hand.append(connection)
            return found

        return await self._connection.run(exchange)

    async def _taken(self, pool: Any) -> Any:
        if not self._at_hand:
            return await pool.get_connection()
        connection = self._at_hand.pop()
        try:
            if not connection.is_connected or await connection.can_read():  # Redis closed it meanwhile
                await pool.ensure_connection(connection)
        except BaseException:
            await pool.release(connection)
            raise
        return connection


async def _exchanged(connection: Any, commands: Sequence[bytes]) -> list[Any]:
    await connection.send_packed_command([b"".join(commands)])
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as exc:
            replies.append(exc)
    return replies
