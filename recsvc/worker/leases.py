"""Which partitions this worker writes."""

from __future__ import annotations

import logging
import time
from typing import Final

from recsvc.eventlog.position import PARTITIONS
from recsvc.store import workers
from recsvc.store.connection import RedisConnection

logger = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 900.0


class Leases:
    """This worker's share: of n live workers, sorted by id, the k-th has the partitions k, k + n, k + 2n, …

    A lease keeps two workers from the same partition while they see different lists of the living; that they do not
    spoil the log even then is seen to by `eventlog.files`. A lease is worth as much as its holder's heartbeat, so
    nothing is written to Redis for each partition while nothing changes.
    """

    def __init__(self, connection: RedisConnection, worker_id: str) -> None:
        self._connection = connection
        self._worker_id = worker_id
        self._renew_at = 0.0
        self.live: list[str] = []
        self.held: frozenset[int] = frozenset()
        self.arrived: set[int] = set()
        """Partitions taken since somebody cleared this; nothing of the kind is to be done for a renewed lease."""

    @property
    def leads(self) -> bool:
        """Whether this worker is the one that does what only one should do."""
        return bool(self.live) and self.live[0] == self._worker_id

    async def keep(self) -> None:
        """One heartbeat: gives back what others are to have and takes what is free. Raises `StoreUnavailable`."""
        live = await workers.beat(self._connection, self._worker_id)
        if live != self.live:
            logger.info("event workers alive: %d", len(live))
        self.live = live
        share = share_of(live, self._worker_id)
        owners = await workers.owners(self._connection, sorted(share | self.held))
        lost = {partition for partition in self.held if owners[partition] != self._worker_id}
        surplus = self.held - share
        self.held -= lost | surplus
        await workers.release(self._connection, surplus, self._worker_id)
        wanted = share - self.held
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + _RENEW_SECONDS
            wanted = share
        free = {partition for partition in wanted if owners[partition] not in live or partition in self.held}
        claimed = await workers.claim(self._connection, free, self._worker_id, live)
        self.arrived |= claimed - self.held
        self.held |= claimed

    async def give_up(self) -> None:
        """Leaves at once, so that the others need not find out. Raises `StoreUnavailable`."""
        await workers.release(self._connection, self.held, self._worker_id)
        self.held = frozenset()
        await workers.retire(self._connection, self._worker_id)


def share_of(live: list[str], worker_id: str) -> frozenset[int]:
    """The partitions that are to be this worker's, if it is among the living."""
    if worker_id not in live:
        return frozenset()
    return frozenset(range(live.index(worker_id), PARTITIONS, len(live)))
