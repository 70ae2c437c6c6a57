"""Items as a resource: read, replaced, changed, deleted; in effect in this process when a call returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from recsvc.catalog.errors import CatalogueFull, ItemBusy
from recsvc.catalog.feed import LiveFeed
from recsvc.catalog.item_json import from_json, to_json
from recsvc.catalog.live import LiveItem
from recsvc.store.errors import StoreUnavailable
from recsvc.store.live_store import ItemPut, PutResult

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Put:
    """The item as it was put; for "full" it was not."""

    item: LiveItem
    outcome: Literal["created", "replaced", "full"]


class ItemCatalogue:
    """What is known of items: the live record where there is one, else what the bundle in use says.

    Changes raise `StoreUnavailable`; then it is not known whether they were made, and they may be sent again.
    """

    def __init__(self, feed: LiveFeed, bundled: Callable[[str], LiveItem | None], clock: Callable[[], float]) -> None:
        """`bundled` gives the record of the bundle in use; `clock` Unix seconds."""
        self._feed = feed
        self._bundled = bundled
        self._clock = clock

    def get(self, item_id: str) -> LiveItem | None:
        """The item, or None for one that nothing is known of or that was deleted.

        Raises `StoreUnavailable` while it is not known which items were changed.
        """
        if not self._feed.ready:
            raise StoreUnavailable("neither Redis nor a snapshot has said yet which items were changed")
        live = self._feed.items.get(item_id)
        known = live if live is not None else self._bundled(item_id)
        return None if known is None or known.deleted else known

    async def put(self, items: Sequence[LiveItem]) -> list[Put]:
        """Replaces the items, all in one step; what became of each, in their order.

        One without a date of publication keeps the date it has; a new one appears now.
        """
        if not items:
            return []
        now = self._clock()
        stamped = [replace(item, updated_at=now, published_at=self._date_of(item, now)) for item in items]
        results = await self._feed.store.put_items([ItemPut(item.item_id, to_json(item)) for item in stamped])
        await self._feed.caught_up()
        return [self._put(item, result) for item, result in zip(stamped, results, strict=True)]

    async def change(self, item_id: str, changed: Callable[[LiveItem], LiveItem]) -> LiveItem | None:
        """Replaces the item by `changed(item)`; None for an item that is not known.

        Of changes made at the same time none is lost: `changed` is called again with what another one left. Raises
        CatalogueFull, ItemBusy, and what `changed` raises.
        """
        current = await self._feed.store.item(item_id)
        for _ in range(_ATTEMPTS):
            before = self._known(item_id, current)
            if before is None or before.deleted:
                return None
            after = replace(changed(before), updated_at=self._clock())
            put = ItemPut(item_id, to_json(after), expected=current, only_new=current is None)
            result = (await self._feed.store.put_items([put]))[0]
            if result.outcome == "done":
                await self._feed.caught_up()
                return after
            if result.outcome == "full":
                raise CatalogueFull(self._feed.store.max_items)
            current = result.old
        raise ItemBusy(item_id)

    async def delete(self, item_id: str) -> None:
        """Deletes the item, known or not: a bundle that is yet to come may know it. Raises CatalogueFull."""
        gone = LiveItem(item_id, deleted=True, updated_at=self._clock())
        current = await self._feed.store.item(item_id)
        if current is None or not from_json(current).deleted:
            result = (await self._feed.store.put_items([ItemPut(item_id, to_json(gone))]))[0]
            if result.outcome == "full":
                raise CatalogueFull(self._feed.store.max_items)
        await self._feed.caught_up()

    def _date_of(self, item: LiveItem, now: float) -> float | None:
        if item.published_at is not None:
            return item.published_at
        known = self.get(item.item_id)
        return float(int(now)) if known is None else known.published_at

    def _put(self, item: LiveItem, result: PutResult) -> Put:
        if result.outcome == "full":
            return Put(item, "full")
        before = self._known(item.item_id, result.old)
        return Put(item, "created" if before is None or before.deleted else "replaced")

    def _known(self, item_id: str, live: bytes | None) -> LiveItem | None:
        return self._bundled(item_id) if live is None else from_json(live)
