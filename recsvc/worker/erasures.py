"""The tombstones that this worker goes by."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from recsvc.eventlog.tombstones import Tombstone, Tombstones, from_json, read_tombstones
from recsvc.store.connection import RedisConnection
from recsvc.store.live_store import ERASURE, LiveStore, Position, PositionGone

logger = logging.getLogger(__name__)

_LIMIT: Final = 1_000


class ErasureFeed:
    """Follows the erasures in Redis. What is in the state directory's file is known as well, whatever Redis lost."""

    def __init__(self, connection: RedisConnection, state_dir: Path) -> None:
        self._store = LiveStore(connection)
        self._state_dir = state_dir
        self._position: Position | None = None
        self.tombstones = Tombstones()
        self.taken = 0
        """How many tombstones have come, some more than once. Their times would not do: a clock may be set back."""

    async def look(self) -> Tombstones:
        """The tombstones as they are now. Raises `StoreUnavailable`, or ValueError for a damaged file."""
        if self._position is None:
            for tombstone in await asyncio.to_thread(read_tombstones, self._state_dir):
                self._take(tombstone)
            self._position = await self._everything()
        while True:
            try:
                changes = await self._store.changes(self._position, _LIMIT)
            except PositionGone:
                self._position = await self._everything()
                continue
            for change in changes:
                if change.kind == ERASURE:
                    self._add(change.value)
                self._position = change.position
            if len(changes) < _LIMIT:
                return self.tombstones

    async def _everything(self) -> Position:
        position = await self._store.position()
        async for chunk in self._store.erasures():
            for _digest, value in chunk:
                self._add(value)
        return position

    def _add(self, value: bytes) -> None:
        try:
            self._take(from_json(value))
        except (ValueError, KeyError, TypeError) as exc:
            logger.error("a tombstone in Redis is not understood and left out: %s", exc)  # noqa: TRY400

    def _take(self, tombstone: Tombstone) -> None:
        self.tombstones.add(tombstone)
        self.taken += 1
