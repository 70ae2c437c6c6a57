"""Loading everything from Redis into what is known already, and giving back to Redis what it lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from recsvc.catalog.item_json import from_json, to_json
from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.eventlog import tombstones
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.live_store import ItemPut, LiveStore, Position

logger = logging.getLogger(__name__)

_CHUNK: Final = 200


async def reload(store: LiveStore, items: LiveItems, erasures: Tombstones, known: Position, *, lost: bool) -> Position:
    """Brings `items` and `erasures`, known up to the position `known`, to what Redis has. Returns the position from
    which on changes are to be followed.

    Items never leave Redis' hash, a deleted one keeps its record; so one that is known here and not there was lost by
    Redis and is written back, and so are tombstones. Of an item known to both Redis' record counts, unless it `lost`
    data: then it may have returned to an older record, and the later `updated_at` counts. Raises `StoreUnavailable`.
    """
    position = await store.position()
    put_back = await _items(store, items, lost=lost)
    for start in range(0, len(put_back), _CHUNK):
        results = await store.put_items(put_back[start : start + _CHUNK], floor=known.version)
        full = sum(result.outcome == "full" for result in results)
        if full:
            logger.error("Redis lost items and has no room for %d of them: it has %d others", full, store.max_items)
    if put_back:
        logger.warning("gave %d items back to Redis, which had lost them", len(put_back))
    await reload_erasures(store, erasures, known)
    return position


async def reload_erasures(store: LiveStore, erasures: Tombstones, known: Position) -> None:
    """The tombstones' part of `reload`."""
    missing = await _erasures(store, erasures)
    for start in range(0, len(missing), _CHUNK):
        await store.put_tombstones(missing[start : start + _CHUNK], floor=known.version)
    if missing:
        logger.warning("gave %d erasures back to Redis, which had lost them", len(missing))


async def _items(store: LiveStore, items: LiveItems, *, lost: bool) -> list[ItemPut]:
    absent = {item.item_id for item in items}
    put_back: list[ItemPut] = []
    async for chunk in store.items():
        for key, value in chunk:
            absent.discard(key.decode("utf-8"))
            try:
                theirs = from_json(value)
            except ValueError as exc:
                logger.error("a record in Redis is not understood and left out: %s", exc)  # noqa: TRY400
                continue
            ours = items.get(theirs.item_id)
            if ours == theirs:
                continue
            if lost and ours is not None and ours.updated_at > theirs.updated_at:
                put_back.append(ItemPut(ours.item_id, to_json(ours), expected=value))
            else:
                items.put(theirs)
    return put_back + _only_new(items, sorted(absent))


def _only_new(items: LiveItems, item_ids: Sequence[str]) -> list[ItemPut]:
    found: list[LiveItem] = [item for item_id in item_ids if (item := items.get(item_id)) is not None]
    return [ItemPut(item.item_id, to_json(item), only_new=True) for item in found]


async def _erasures(store: LiveStore, erasures: Tombstones) -> list[tuple[str, str]]:
    """Adds Redis' tombstones; returns (digest, JSON) of those that Redis has not, or not as late."""
    theirs = Tombstones()
    async for chunk in store.erasures():
        for _, value in chunk:
            try:
                theirs.add(tombstones.from_json(value))
            except (ValueError, KeyError, TypeError) as exc:
                logger.error("a tombstone in Redis is not understood and left out: %s", exc)  # noqa: TRY400
    known = {tombstone.digest: tombstone for tombstone in theirs}
    missing = [
        (ours.digest, tombstones.to_json(ours))
        for ours in erasures
        if ours.digest not in known or known[ours.digest].erased_at < ours.erased_at
    ]
    for tombstone in theirs:
        erasures.add(tombstone)
    return missing
