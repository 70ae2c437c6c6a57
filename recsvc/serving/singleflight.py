"""One computation for all who ask for the same thing at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Joins concurrent calls with the same key, within one event loop.

    The work runs in a task of its own: a caller that is cancelled (its client went away) neither stops it nor
    fails the others. A failure reaches every caller that waited, and is not remembered.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, asyncio.Task[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work()`, which is called only when no call for `key` is under way."""
        task = self._flights.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(work))
            self._flights[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancels what is under way and waits for its end."""
        flights = list(self._flights.values())
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._flights.pop(key, None)
        if not task.cancelled():
            task.exception()  # read, so that a failure whose callers all left is not reported as unnoticed


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
