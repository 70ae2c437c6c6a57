"""Streams to files: read, publish, flush, then trim, in this order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.manifest import LogDamaged
from recsvc.eventlog.position import BEGINNING, StreamId
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store import streams
from recsvc.store.connection import RedisConnection
from recsvc.worker.batch import Batch, batch_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_EVENTS: Final = 20_000
"""Entries of one partition that make one file at most."""

_THREADS: Final = 2
_COMPLAINT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Written:
    """What a flush did: rows written, entries put aside, and the partitions whose disk refused."""

    rows: int
    dead: int
    refused: frozenset[int]


class LogWriter:
    """Writes partitions to the log in `root`. It keeps nothing in memory that matters: the log itself is the offset."""

    def __init__(self, connection: RedisConnection, root: Path) -> None:
        self._connection = connection
        self._root = root
        self._logs: dict[int, PartitionLog] = {}
        self._complain_at = 0.0
        # The disk's flushes are what takes time; several at once share the file system's journal.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="log-writer")

    async def flush(self, partitions: Sequence[int], tombstones: Tombstones) -> Written:
        """Writes up to `BATCH_EVENTS` waiting entries of each partition, then trims what is in the log.

        An entry that cannot be written goes to the dead letters first, and the rest is written without it. A partition
        whose files cannot be written, or are damaged, keeps its entries. Raises `StoreUnavailable`.
        """
        starts = await self._each(partitions, lambda partition: self._log(partition).end())
        entries = await streams.read(self._connection, starts, BATCH_EVENTS)
        waiting = {partition: found for partition, found in entries.items() if found}
        batches = await self._each(
            waiting, lambda partition: batch_of(partition, starts[partition], waiting[partition], tombstones), threads=1
        )
        # Before the file: once that is there, the entry is never looked at again.
        dead = {partition: batch.dead for partition, batch in batches.items() if batch.dead}
        await streams.put_aside(self._connection, dead)
        ends = await self._each(starts, lambda partition: self._publish(partition, batches.get(partition)))
        await streams.trim(self._connection, {at: end for at, end in ends.items() if end != BEGINNING})
        for partition, letters in dead.items():
            logger.error(
                "partition %d: %d entries are no events and were put aside; the first, %s: %s",
                partition,
                len(letters),
                letters[0].id,
                letters[0].reason,
            )
        return Written(
            rows=sum(batch.rows.num_rows for partition, batch in batches.items() if partition in ends),
            dead=sum(map(len, dead.values())),
            refused=frozenset(partitions) - frozenset(ends),
        )

    async def take_over(self, partitions: Sequence[int]) -> None:
        """To be called with partitions that come from elsewhere: their streams go on above the end of the log."""
        ends = await self._each(partitions, lambda partition: self._log(partition).end())
        await streams.raise_ids(self._connection, {at: end for at, end in ends.items() if end != BEGINNING})

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _log(self, partition: int) -> PartitionLog:
        if partition not in self._logs:
            self._logs[partition] = PartitionLog(self._root, partition)
        return self._logs[partition]

    def _publish(self, partition: int, batch: Batch | None) -> StreamId:
        log = self._log(partition)
        if batch is not None and not log.publish(batch.after, batch.last, batch.rows):
            logger.info("partition %d: another worker wrote what follows %s", partition, batch.after)
        # Asked anew: what this worker believes of the partition may be out of date, the disk is not.
        return log.durable_end()

    async def _each(
        self, partitions: Iterable[int], work: Callable[[int], T], *, threads: int = _THREADS
    ) -> dict[int, T]:
        """The results by partition, computed in so many threads; those where the disk or the log refused are left out.

        Python code gains nothing from threads and loses time by taking turns, so only waiting is shared among several.
        """
        wanted = list(partitions)

        def some(part: list[int]) -> list[tuple[int, T | Exception]]:
            return [(partition, _tried(work, partition)) for partition in part]

        loop = asyncio.get_running_loop()
        parts = [part for start in range(threads) if (part := wanted[start::threads])]
        done: dict[int, T] = {}
        for outcomes in await asyncio.gather(*(loop.run_in_executor(self._threads, some, part) for part in parts)):
            for partition, outcome in outcomes:
                if isinstance(outcome, Exception):
                    self._complain(partition, outcome)
                else:
                    done[partition] = outcome
        return done

    def _complain(self, partition: int, error: Exception) -> None:
        if time.monotonic() < self._complain_at:
            return
        self._complain_at = time.monotonic() + _COMPLAINT_SECONDS
        text = str(error) if isinstance(error, OSError | LogDamaged) else repr(error)
        logger.error("partition %d, maybe others, cannot be written; events wait in Redis: %s", partition, text)


def _tried(work: Callable[[int], T], partition: int) -> T | Exception:
    try:
        return work(partition)
    except Exception as exc:  # whatever it is: one partition's trouble must not keep the others back
        return exc
