"""Sequence numbers of users, read for all the requests of one moment together: the least that proves an answer kept
in memory to be the user's present one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import ResponseError

from recsvc.store import keys
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.exchange import Exchange

UNREACHABLE: Final = -1
"""Redis did not answer."""
MERGED: Final = -2
"""The user was merged into another one, whose number is the one that counts."""
_NONE: Final = 0
"""The number of a user without state, as in `UserRead`."""

_MAX_IN_FLIGHT: Final = 2
"""Reads on their way at the same time. While that many are, requests gather for the next."""


class Sequences:
    """Reads sequence numbers, one command for each user, one write and one wait for all who ask in the meantime."""

    def __init__(self, connection: RedisConnection) -> None:
        self._exchange = Exchange(connection)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._sending = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, user_id: str) -> asyncio.Future[int]:
        """The user's sequence number, MERGED, or UNREACHABLE. Not to be cancelled: others may wait for it too."""
        found = self._waiting.get(user_id)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._waiting[user_id] = loop.create_future()
            if self._sending < _MAX_IN_FLIGHT:
                self._sending += 1
                # Whoever else asks in this turn of the loop comes along.
                task = loop.create_task(self._send_while_any_wait())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return found

    async def aclose(self) -> None:
        """Lets what is under way end."""
        await asyncio.gather(*self._tasks)

    async def _send_while_any_wait(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    numbers = await self._read(list(waiting))
                except StoreUnavailable:
                    numbers = [UNREACHABLE] * len(waiting)
                except BaseException:
                    for future in waiting.values():
                        future.cancel()
                    raise
                for future, number in zip(waiting.values(), numbers, strict=True):
                    if not future.done():
                        future.set_result(number)
        finally:
            self._sending -= 1

    async def _read(self, user_ids: Sequence[str]) -> list[int]:
        replies = await self._exchange.replies([_asking(user_id) for user_id in user_ids])
        return [_number(reply) for reply in replies]


def _asking(user_id: str) -> bytes:
    command: Any = ("HMGET", keys.state_key(user_id), "into", "seq")  # annotated for a single word
    packed: bytes = hiredis.pack_command(command)
    return packed


def _number(reply: Sequence[bytes | None] | ResponseError) -> int:
    if isinstance(reply, ResponseError):
        raise StoreUnavailable(f"Redis refused to read a sequence number: {reply}") from reply
    into, sequence = reply
    if into is not None:
        return MERGED
    return _NONE if sequence is None else int(sequence)
