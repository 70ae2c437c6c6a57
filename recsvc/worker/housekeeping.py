"""What a worker does beside writing: compaction, and the work that erasures leave."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from recsvc.bundle.errors import BundleError
from recsvc.bundle.registry import Registry
from recsvc.eventlog.compact import Compacted, compact, sweep
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.manifest import LogDamaged
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.worker.counting import count_again
from recsvc.worker.erasures import ErasureFeed
from recsvc.worker.leases import Leases
from recsvc.worker.redis_file import RedisFile

logger = logging.getLogger(__name__)

ERASURE_SECONDS: Final = 600.0
"""Between two searches of the whole log for rows of erased users."""

_STEP_SECONDS: Final = 1.0
_FILES_TO_LOOK: Final = 8
_HOUR_SECONDS: Final = 3600.0
_ROUND_SECONDS: Final = 1800.0
_SWEEP_SECONDS: Final = 300.0


class Housekeeping:
    """Keeps the partitions that `leases` holds in few files and free of erased users; one partition at a time."""

    def __init__(
        self, connection: RedisConnection, root: Path, models_dir: Path, leases: Leases, flush_seconds: float
    ) -> None:
        self._redis_file = RedisFile(connection, flush_seconds)
        self._root = root
        self._registry = Registry(models_dir)
        self._leases = leases
        self._written: dict[int, int] = {}
        self._pending: list[int] = []
        self._next_round_at = time.monotonic() + _STEP_SECONDS
        self._sweeping: list[int] = []
        self._next_sweep_at = 0.0
        self._taken = 0
        self._next_erasing_at = 0.0
        self._next_hour_at = 0.0

    def wrote(self, partitions: Iterable[int]) -> None:
        """To be told of partitions that got a file."""
        for partition in partitions:
            self._written[partition] = self._written.get(partition, 0) + 1

    async def run(self, erasures: ErasureFeed) -> None:
        """Does a step every second, for good; what fails is logged and tried again in the next round."""
        while True:
            await asyncio.sleep(_STEP_SECONDS)
            try:
                await self._step(erasures)
            except (OSError, LogDamaged, BundleError, StoreUnavailable) as exc:
                logger.warning("the log or the models could not be tidied: %s", exc)

    async def _step(self, erasures: ErasureFeed) -> None:
        now = time.monotonic()
        if not self._leases.held:
            return
        self._plan(erasures.taken, now)
        grown = [partition for partition, files in self._written.items() if files >= _FILES_TO_LOOK]
        while self._sweeping:
            await self._tidy(self._sweeping.pop(), lambda log: sweep(log, time.time()))
        if self._pending or grown:
            tombstones = Tombstones(erasures.tombstones)  # a copy: the worker goes on adding to its own
            while self._pending:
                await self._tidy(self._pending.pop(), lambda log: compact(log, tombstones, time.time()))
            for partition in grown:
                self._written.pop(partition, None)
                await self._tidy(partition, lambda log: compact(log, tombstones, time.time(), erase=False))
        if self._leases.leads:
            await self._for_all(erasures, now)

    def _plan(self, taken: int, now: float) -> None:
        """A round over every partition: twice an hour, and ten minutes after an erasure at the latest. What is replaced
        goes within minutes of the end of its grace, whoever replaced it. So erased rows are off the disk within the
        hour."""
        erased = taken > self._taken and now >= self._next_erasing_at
        if erased or now >= self._next_round_at:
            self._taken = taken
            self._next_erasing_at = now + ERASURE_SECONDS
            self._next_round_at = now + _ROUND_SECONDS
            self._pending = sorted(self._leases.held, reverse=True)
        if now >= self._next_sweep_at:
            self._next_sweep_at = now + _SWEEP_SECONDS
            self._sweeping = sorted(self._leases.held, reverse=True)

    async def _for_all(self, erasures: ErasureFeed, now: float) -> None:
        """What one worker does for all."""
        if now >= self._next_hour_at:
            self._next_hour_at = now + _HOUR_SECONDS
            gone = await asyncio.to_thread(self._registry.expire, Tombstones(erasures.tombstones), time.time())
            if gone:
                logger.info("removed models that held erased users: %s", ", ".join(gone))
            await count_again(self._root.parent)
        await self._redis_file.look(erasures.tombstones)

    async def _tidy(self, partition: int, work: Callable[[PartitionLog], Compacted | None]) -> None:
        if partition not in self._leases.held:
            return
        began = time.monotonic()
        done = await asyncio.to_thread(work, PartitionLog(self._root, partition))
        if done is not None and done.segments:
            logger.debug("partition %d: %s", partition, done)
        await asyncio.sleep(time.monotonic() - began)  # half of the time is for writing
