"""Where lists are computed: in threads beside the event loop, and no more of them than can be done in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from recsvc.serving.candidates import CandidateList
from recsvc.serving.errors import Overloaded
from recsvc.telemetry import Telemetry

T = TypeVar("T")


class Computing:
    """Runs what takes long in threads, so that the event loop goes on answering what is cached.

    What waits for a thread is bounded: behind so many computations an answer would come too late for its caller, and
    all those after it as well.
    """

    def __init__(self, executor: Executor, telemetry: Telemetry, *, most: int) -> None:
        """`most` computations at a time, those that wait for a thread included."""
        self._executor = executor
        self._telemetry = telemetry
        self._most = most
        self._under_way = 0

    async def run(self, work: Callable[[], T], *, must: bool = False) -> T:
        """The result of `work()`. Raises Overloaded when too many are under way, unless it `must` be done."""
        if self._under_way >= self._most and not must:
            self._telemetry.shed.inc()
            raise Overloaded(self._most)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._under_way -= 1

    async def list_of(self, work: Callable[[], CandidateList]) -> CandidateList:
        """The same for a list, timed."""
        with self._telemetry.compute_seconds.time():
            return await self.run(work)
