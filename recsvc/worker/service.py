"""The worker's main loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from recsvc.eventlog.position import PARTITIONS
from recsvc.eventlog.reader import DIRECTORY_NAME
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store import streams
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.worker.erasures import ErasureFeed
from recsvc.worker.housekeeping import Housekeeping
from recsvc.worker.leases import Leases
from recsvc.worker.log_identity import claim_log
from recsvc.worker.writer import BATCH_EVENTS, LogWriter

logger = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 1.0
_LONGEST_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 5.0
_GROUP_PARTITIONS: Final = 16
_GROUP_EVENTS: Final = 40_000


class EventWorker:
    """Writes the streams of its partitions to the log in `state_dir`/events until it is told to stop."""

    def __init__(
        self,
        connection: RedisConnection,
        state_dir: Path,
        models_dir: Path,
        worker_id: str,
        flush_seconds: float,
        max_unwritten_events: int,
    ) -> None:
        """`max_unwritten_events`: of all partitions, from where on the service refuses events."""
        self._connection = connection
        self._root = state_dir / DIRECTORY_NAME
        self._is_ours = False
        self._flush_seconds = flush_seconds
        # Long before a partition is full: a single busy user has but one.
        self._due_events = max(1, min(BATCH_EVENTS, max_unwritten_events // PARTITIONS // 4))
        self._poll_seconds = min(_LONGEST_POLL_SECONDS, flush_seconds / 4)
        self._leases = Leases(connection, worker_id)
        self._erasures = ErasureFeed(connection, state_dir)
        self._writer = LogWriter(connection, self._root)
        self._housekeeping = Housekeeping(connection, self._root, models_dir, self._leases, flush_seconds)
        self._waiting_since: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        self._complaints: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then writes what is there, gives back its partitions and returns.

        Redis being away, a full disk and damaged files are waited out, each said once. Raises `LogElsewhere`.
        """
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        housekeeping = asyncio.create_task(self._housekeeping.run(self._erasures), name="housekeeping")
        try:
            while not stop.is_set():
                for task in (beating, housekeeping):
                    if task.done():
                        task.result()  # it never ends but by an error that nobody foresaw
                if not await self._guarded("events are not written", self._cycle()):
                    await _wait(stop, self._poll_seconds)
        finally:
            # Before the last flush: nothing is to be taken any more. Its heartbeat stays good for some seconds.
            for task in (beating, housekeeping):
                task.cancel()
            await asyncio.gather(beating, housekeeping, return_exceptions=True)
            await self._guarded("what is left stays in Redis", self._leave())
            self._writer.close()

    async def _cycle(self) -> bool:
        """One look at the streams; says whether there is more to write at once."""
        if not self._is_ours:
            await claim_log(self._connection, self._root)
            self._is_ours = True
        tombstones = await self._erasures.look()
        if arrived := sorted(self._leases.arrived):
            await self._writer.take_over(arrived)
            self._leases.arrived.difference_update(arrived)
        held = sorted(self._leases.held)
        lengths = await streams.lengths(self._connection, held)
        due = self._due(lengths)
        for group in _groups(due):
            await self._flush(group, tombstones)
        return any(length >= self._due_events for length in due.values())

    def _due(self, lengths: Mapping[int, int]) -> dict[int, int]:
        """Of the partitions with their numbers of entries, those whose time has come."""
        now = time.monotonic()
        waiting = {partition: length for partition, length in lengths.items() if length}
        self._waiting_since = {partition: self._waiting_since.get(partition, now) for partition in waiting}
        # An entry may have come right after the look before: it has waited for a poll when it is seen.
        patience = self._flush_seconds - 2 * self._poll_seconds
        return {
            partition: length
            for partition, length in waiting.items()
            if (length >= self._due_events or now - self._waiting_since[partition] >= patience)
            and now >= self._not_before.get(partition, 0.0)
        }

    async def _flush(self, group: list[int], tombstones: Tombstones) -> None:
        written = await self._writer.flush(group, tombstones)
        for partition in group:
            self._waiting_since.pop(partition, None)
            self._not_before.pop(partition, None)
        for partition in written.refused:
            self._not_before[partition] = time.monotonic() + _RETRY_SECONDS
        self._housekeeping.wrote(set(group) - written.refused)
        if written.rows:
            logger.debug("wrote %d events of %d partitions", written.rows, len(group))

    async def _leave(self) -> None:
        if self._is_ours:
            lengths = await streams.lengths(self._connection, sorted(self._leases.held))
            tombstones = await self._erasures.look()
            for group in _groups({partition: length for partition, length in lengths.items() if length}):
                await self._writer.flush(group, tombstones)
        await self._leases.give_up()

    async def _beat(self) -> None:
        while True:
            await self._guarded("the leases of partitions cannot be kept", self._leases.keep())
            await asyncio.sleep(_BEAT_SECONDS)

    async def _guarded(self, trouble: str, work: Coroutine[object, object, bool | None]) -> bool:
        """Awaits it; what will pass is logged once, until it has passed."""
        try:
            result = await work
        except (StoreUnavailable, ValueError, OSError) as exc:
            if trouble not in self._complaints:
                self._complaints.add(trouble)
                logger.warning("%s for now: %s", trouble, exc)
            return False
        if trouble in self._complaints:
            self._complaints.remove(trouble)
            logger.info("over: %s", trouble)
        return bool(result)


def _groups(due: Mapping[int, int]) -> Iterator[list[int]]:
    """The partitions in groups that are written together; what they hold has to fit into memory."""
    group: list[int] = []
    events = 0
    for partition, length in due.items():
        expected = min(length, BATCH_EVENTS)
        if group and (len(group) >= _GROUP_PARTITIONS or events + expected > _GROUP_EVENTS):
            yield group
            group, events = [], 0
        group.append(partition)
        events += expected
    if group:
        yield group


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
