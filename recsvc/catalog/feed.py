"""Changes of items and erasures of users, followed by every process, kept in files for when Redis is away."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from recsvc.catalog.item_json import from_json
from recsvc.catalog.live import LiveItems
from recsvc.catalog.reload import reload, reload_erasures
from recsvc.catalog.snapshot import (
    SavedErasures,
    Snapshot,
    read_erasures,
    read_saved,
    read_snapshot,
    save_erasures,
    save_items,
)
from recsvc.eventlog import tombstones
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.live_store import ERASURE, ITEM, START, Change, LiveStore, Position, PositionGone

logger = logging.getLogger(__name__)

_LIMIT: Final = 500
"""Changes applied at a time, without a pause between them."""
_QUICK_SECONDS: Final = 1.0


class LiveFeed:
    """What this process knows of changed items (`items`) and erased users (`erasures`). For use from one event loop.

    Both are objects for good: what is derived from them can hold on to them. Nothing that was known to be hidden,
    deleted or erased is forgotten while the process lives or its files are there, even by a Redis that lost its data:
    what that Redis lacks is written back to it.
    """

    def __init__(self, connection: RedisConnection, state_dir: Path, poll_seconds: float) -> None:
        self.items = LiveItems()
        self.erasures = Tombstones()
        self.store = LiveStore(connection)
        self._state_dir = state_dir
        self._poll_seconds = poll_seconds
        self._position: Position | None = None
        self._as_of: float | None = None
        self._following = False
        self._rounds_begun = 0
        self._rounds_done = 0
        self._one_round = asyncio.Lock()
        self._erasures_unsaved = False
        self._erasures_compared = False
        self._saved_version = -1
        self._save_anyway = False
        self._save_due_at = 0.0
        self._saving: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        self._complaint = ""

    @property
    def ready(self) -> bool:
        """Whether what was hidden and who was erased is known, from Redis or from the files."""
        return self._position is not None

    @property
    def following(self) -> bool:
        """Whether Redis answered the latest look for changes."""
        return self._following

    @property
    def as_of(self) -> float | None:
        """The moment (Unix seconds) up to which everything is known; None when nothing is."""
        return self._as_of

    async def start(self) -> None:
        """Loads the files and what Redis has, and begins to follow the changes."""
        erasures = await asyncio.to_thread(read_erasures, self._state_dir)
        self._take(erasures, await asyncio.to_thread(read_snapshot, self._state_dir))
        await self._look()
        self._poller = asyncio.create_task(self._poll(), name="live feed")

    async def close(self) -> None:
        """Stops following; what changed last is in the files, unless writing them would take long."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)
        saved = await asyncio.to_thread(read_saved, self._state_dir)
        if saved is None or saved.took_seconds < _QUICK_SECONDS:
            await self._save()

    async def caught_up(self) -> None:
        """Returns once what was written before the call is applied here, and erasures are in the file as well.

        Callers at the same time share one look at Redis. Raises `StoreUnavailable`, and OSError when the file cannot
        be written.
        """
        wanted = self._rounds_begun + 1
        async with self._one_round:
            if self._rounds_done < wanted:
                await self._round()

    def _take(self, erasures: SavedErasures, snapshot: Snapshot | None) -> None:
        """What there is of the files counts; only with all of them is it enough to begin without Redis."""
        for tombstone in erasures.tombstones:
            self.erasures.add(tombstone)
        for item in snapshot.items if snapshot is not None else ():
            self.items.put(item)
        if snapshot is None or not erasures.whole:
            self._save_anyway = True
            return
        self._position, self._as_of = snapshot.saved.position, snapshot.saved.saved_at
        self._saved_version = snapshot.saved.position.version

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._look()
            self._save_if_due()

    async def _look(self) -> None:
        """One look at Redis that keeps what is known, whatever happens."""
        try:
            async with self._one_round:
                await self._round()
        except StoreUnavailable as exc:
            self._complain(logging.WARNING, f"changes of items and erasures cannot be followed: {exc}")
        except Exception as exc:
            # Nobody awaits the task that polls: an unforeseen error must not silently end the following.
            if self._complain(logging.ERROR, f"following changes of items and erasures failed: {exc!r}"):
                logger.exception("the failure was")
        else:
            if self._complaint:
                logger.info("changes of items and erasures are followed again")
            self._complaint = ""

    def _complain(self, level: int, message: str) -> bool:
        """Logs what is wrong once, not five times a second; says whether it did."""
        if message == self._complaint:
            return False
        self._complaint = message
        logger.log(level, "%s", message)
        return True

    async def _round(self) -> None:
        self._rounds_begun += 1
        this = self._rounds_begun
        began = time.time()
        try:
            await self._follow()
        except BaseException:
            self._following = False
            raise
        self._following, self._as_of, self._rounds_done = True, began, this

    async def _follow(self) -> None:
        if self._position is None:
            await self._reload(lost=False)
        if not self._erasures_compared:
            # The files may know of an erasure that Redis lost, though it has the change that the items reach up to.
            await reload_erasures(self.store, self.erasures, self._position or START)
            self._erasures_compared = self._erasures_unsaved = True
        while True:
            assert self._position is not None  # noqa: S101
            try:
                changes = await self.store.changes(self._position, _LIMIT)
            except PositionGone as gone:
                logger.warning("%s: loading all items and erasures again", gone)
                await self._reload(lost=gone.lost)
                continue
            for change in changes:
                self._apply(change)
            if len(changes) < _LIMIT:
                break
        if self._erasures_unsaved:
            await asyncio.to_thread(save_erasures, self._state_dir, Tombstones(self.erasures))
            self._erasures_unsaved = False

    async def _reload(self, *, lost: bool) -> None:
        self._position = await reload(self.store, self.items, self.erasures, self._position or START, lost=lost)
        self._erasures_compared = self._erasures_unsaved = True

    def _apply(self, change: Change) -> None:
        try:
            if change.kind == ITEM:
                item = from_json(change.value)
                if self.items.get(item.item_id) != item:
                    self.items.put(item)
            elif change.kind == ERASURE:
                self.erasures.add(tombstones.from_json(change.value))
                self._erasures_unsaved = True
        except (ValueError, KeyError, TypeError) as exc:
            # Nothing of ours writes such a change; one that is stuck on it would miss all that follow.
            logger.error("change %d is not understood and left out: %s", change.position.version, exc)  # noqa: TRY400
        self._position = change.position

    def _save_if_due(self) -> None:
        if self._position is None or self._position.version == self._saved_version or time.time() < self._save_due_at:
            return
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save(), name="live snapshot")

    async def _save(self) -> None:
        position, items = self._position, list(self.items)
        if position is None or position.version == self._saved_version:
            return
        try:
            done = await asyncio.to_thread(save_items, self._state_dir, items, position, anyway=self._save_anyway)
        except OSError as exc:
            logger.error("the snapshot of items cannot be written: %s", exc)  # noqa: TRY400
            self._save_due_at = time.time() + 10 * _QUICK_SECONDS
            return
        if done:
            self._saved_version, self._save_anyway = position.version, False
        saved = await asyncio.to_thread(read_saved, self._state_dir)
        self._save_due_at = min(saved.due_at, time.time() + 600) if saved is not None else 0.0
