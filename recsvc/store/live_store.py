"""What every process must know at once: items as they are now, and tombstones of erased users.

Two hashes, items and tombstones, and a stream of the changes of both (see `keys`), whose entry `n-0` is the n-th change
that there ever was.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from redis.asyncio import Redis

from recsvc.eventlog import tombstones
from recsvc.eventlog.tombstones import Tombstone
from recsvc.store.connection import RedisConnection
from recsvc.store.keys import CHANGES_KEY, ERASURES_KEY, ITEMS_KEY, LAST_ERASURE_KEY
from recsvc.store.live_scripts import ERASE, PUT_ITEMS, PUT_TOMBSTONES

MAX_ITEMS: Final = 1_000_000
"""Items with a record of their own, deleted ones included."""
MAX_CHANGES: Final = 100_000
"""Kept in the stream; who has missed more loads everything."""

ITEM: Final = b"item"
ERASURE: Final = b"erasure"

_SCAN: Final = 1_000
_ANY: Final = b""
_NONE: Final = b"-"


@dataclass(frozen=True, slots=True)
class ItemPut:
    """The new JSON of an item. `expected`: what it must be now, as JSON; None: anything. With `only_new` nothing."""

    item_id: str
    value: bytes
    expected: bytes | None = None
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of it. `old` is the JSON before; after a conflict, the one that is there. None: there was none."""

    outcome: Literal["done", "conflict", "full"]
    old: bytes | None


@dataclass(frozen=True, slots=True)
class Position:
    """After the `version`-th change, whose digest is `mark`: by it a stream that lost or forgot it is recognised."""

    version: int
    mark: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `kind` ITEM or ERASURE, `value` its JSON, `position` after it."""

    kind: bytes
    value: bytes
    position: Position


START: Final = Position(0, "")
"""Before every change."""


class PositionGone(Exception):  # noqa: N818
    """The changes after a position are not all there. `lost`: Redis lost data; otherwise they were merely trimmed."""

    def __init__(self, *, lost: bool) -> None:
        super().__init__("Redis lost what it knew" if lost else "too many changes were missed")
        self.lost = lost


class LiveStore:
    """Every method raises `StoreUnavailable`; each write is one atomic script."""

    def __init__(
        self, connection: RedisConnection, *, max_items: int = MAX_ITEMS, max_changes: int = MAX_CHANGES
    ) -> None:
        self._connection = connection
        self._max_items = max_items
        self._max_changes = max_changes

    @property
    def max_items(self) -> int:
        """How many items may have a record."""
        return self._max_items

    async def put_items(self, puts: Sequence[ItemPut], *, floor: int = 0) -> list[PutResult]:
        """Writes the items, all in one step, each under its own condition; results in their order.

        The first change gets a number above `floor`, so that numbers go on over a Redis that lost its data.
        """
        arguments: list[Any] = [floor, self._max_items, self._max_changes]
        for put in puts:
            expected = _NONE if put.only_new else _ANY if put.expected is None else put.expected
            arguments += [put.item_id, put.value, expected]

        async def call(redis: Redis) -> Any:
            return await redis.eval(PUT_ITEMS, 2, ITEMS_KEY, CHANGES_KEY, *arguments)

        return [PutResult(outcome.decode("ascii"), old or None) for outcome, old in await self._connection.run(call)]

    async def put_tombstones(self, known: Sequence[tuple[str, str]], *, floor: int = 0) -> None:
        """Writes (digest, JSON with `erased_at`) pairs as they are; of two of one user the later one stays."""
        arguments = [text for pair in known for text in pair]

        async def call(redis: Redis) -> Any:
            return await redis.eval(
                PUT_TOMBSTONES,
                3,
                ERASURES_KEY,
                CHANGES_KEY,
                LAST_ERASURE_KEY,
                floor,
                self._max_changes,
                *arguments,
            )

        await self._connection.run(call)

    async def erase(self, tombstone: Tombstone) -> Tombstone:
        """Writes the tombstone of a user erased now, and returns it as it was written: where Redis' clock was set back,
        `erased_at` is above that of every erasure before, so that no model is taken for one that heeds this. Written
        again, it stays what it is."""
        times = (str(tombstone.until), f"{tombstone.erased_at:.6f}")

        async def call(redis: Redis) -> Any:
            names = (ERASURES_KEY, CHANGES_KEY, LAST_ERASURE_KEY)
            return await redis.eval(ERASE, 3, *names, self._max_changes, tombstone.digest, *times)

        return tombstones.from_json(await self._connection.run(call))

    async def item(self, item_id: str) -> bytes | None:
        """The item's JSON, or None."""

        async def call(redis: Redis) -> Any:
            return await redis.hget(ITEMS_KEY, item_id)

        found: bytes | None = await self._connection.run(call)
        return found

    async def position(self) -> Position:
        """After the latest change."""

        async def call(redis: Redis) -> Any:
            return await redis.xrevrange(CHANGES_KEY, count=1)

        entries = await self._connection.run(call)
        return _change(*entries[0]).position if entries else START

    async def changes(self, after: Position, limit: int) -> list[Change]:
        """At most `limit` changes that follow `after`, in order. Raises PositionGone when some of them are missing."""

        async def call(redis: Redis) -> Any:
            # Without MULTI, which a Redis whose memory is full refuses.
            pipeline = redis.pipeline(transaction=False)
            pipeline.xrange(CHANGES_KEY, min=f"{max(after.version, 1)}-0", count=limit + 1)
            pipeline.xlen(CHANGES_KEY)
            return await pipeline.execute()

        entries, length = await self._connection.run(call)
        changes = [_change(*entry) for entry in entries]
        if after == START:
            if changes and changes[0].position.version != 1 and length >= self._max_changes:
                raise PositionGone(lost=False)
            return changes[:limit]
        if not changes or changes[0].position != after:
            trimmed = bool(changes) and changes[0].position.version > after.version and length >= self._max_changes
            raise PositionGone(lost=not trimmed)
        return changes[1:]

    def items(self) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """All items as (id, JSON) in chunks; one that changes meanwhile may come in either state, or twice."""
        return self._scan(ITEMS_KEY)

    def erasures(self) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """All tombstones as (digest, JSON), in the same way."""
        return self._scan(ERASURES_KEY)

    async def _scan(self, key: str) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        cursor = 0
        while True:
            at = cursor

            async def call(redis: Redis, at: int = at) -> Any:
                return await redis.hscan(key, at, count=_SCAN)

            cursor, found = await self._connection.run(call)
            yield list(found.items())
            if cursor == 0:
                return


def _change(entry_id: bytes, fields: dict[bytes, bytes]) -> Change:
    version = int(entry_id.partition(b"-")[0])
    kind, value = fields.get(b"k", b""), fields.get(b"v", b"")
    return Change(kind, value, Position(version, hashlib.sha256(kind + value).hexdigest()[:32]))
