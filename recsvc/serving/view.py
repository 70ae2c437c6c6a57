"""The catalogue as it is now, under one model: the model's items, and those that came or changed since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

import numpy as np

from recsvc.bundle.types import NO_TIME, Bool, Bundle, Float32, Float64, Int32, Int64, ItemRow
from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.serving.content import ContentRows, ContentVectors
from recsvc.serving.growing import Growing
from recsvc.serving.rows import array, rows_where, without

_EVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Changed:
    """The rows that changed, at one moment, in columns of one length m; a computation takes it once.

    `rows` int32; `visible_from` and `visible_until` float64 Unix seconds (never and always as infinities); `quality`
    float32; `published` int64 as in `Catalogue`; `moved` bool, whether the categories are not the bundle's,
    `redated` bool, whether the date is not: both hold for new items. Rows go up to `n_rows` - 1.
    """

    n_rows: int
    rows: Int32
    visible_from: Float64
    visible_until: Float64
    quality: Float32
    published: Int64
    moved: Bool
    redated: Bool
    content: ContentVectors


class LiveView:
    """Rows 0 to n - 1 are the bundle's; the items that it does not know have the rows from n on, in the order in which
    this process met them, so they mean nothing outside of it.

    `refresh` follows the live items by what changed, and costs nothing for the rest of the catalogue. Computations in
    other threads read `changed` once and then see the catalogue of that moment, or in part a newer one.
    """

    def __init__(self, bundle: Bundle, items: LiveItems) -> None:
        self._bundle = bundle
        self._known = len(bundle.items)
        self._items = items
        self._version = 0
        self._live: dict[int, LiveItem] = {}
        self._new_ids: list[bytes] = []
        self._new_rows: dict[str, int] = {}
        self._new_categories: dict[str, int] = {}
        self._new_category_names: list[str] = []
        self._places: dict[int, int] = {}
        self._moved_to: defaultdict[str, set[int]] = defaultdict(set)
        self._creations: defaultdict[str, set[int]] = defaultdict(set)
        self._content = ContentRows(bundle)
        self._came_at = 0.0
        self._coming: list[float] = []
        self._rows = Growing(np.int32)
        self._from = Growing(np.float64)
        self._until = Growing(np.float64)
        self._quality = Growing(np.float32)
        self._published = Growing(np.int64)
        self._moved = Growing(np.bool_)
        self._redated = Growing(np.bool_)
        self.changed = self._columns()
        self.refresh()

    @property
    def version(self) -> int:
        """Grows with the changes taken in."""
        return self._version

    @property
    def behind(self) -> int:
        """How many changes were not taken in yet."""
        return self._items.version - self._version

    def refresh(self) -> None:
        """Takes in what changed since the last time, some twenty microseconds each. One caller at a time."""
        version = self._items.version
        if version == self._version:
            return
        for item_id in self._items.changed_since(self._version):
            item = self._items.get(item_id)
            if item is not None:
                self._take(item)
        self._version = version
        self.changed = self._columns()

    def row_of(self, item_id: str) -> int | None:
        """The row of an item of the bundle or of the live catalogue, or None."""
        new = self._new_rows.get(item_id)
        return new if new is not None else self._bundle.items.row_of(item_id)

    def rows_of(self, item_ids: Iterable[str]) -> frozenset[int]:
        """The rows of those items that are known."""
        return frozenset(row for row in map(self.row_of, item_ids) if row is not None)

    def bytes_at(self, row: int) -> bytes:
        """The UTF-8 bytes of the item's id."""
        return self._bundle.items.bytes_at(row) if row < self._known else self._new_ids[row - self._known]

    def item_id(self, row: int) -> str:
        """The item's id."""
        return self.bytes_at(row).decode("utf-8")

    def all_bytes(self, rows: Sequence[int]) -> list[bytes]:
        """The UTF-8 bytes of the ids of these rows, in their order."""
        return [self.bytes_at(row) for row in rows] if self._new_ids else self._bundle.items.all_bytes(rows)

    def live(self, row: int) -> LiveItem | None:
        """What is known of the item since the bundle, which is then all that counts; None when nothing is."""
        return self._live.get(row)

    def not_shown(self, rows: Iterable[int], now: float) -> set[int]:
        """Those of the rows that may not be recommended at that moment."""
        live = self._live
        return {row for row in rows if row in live and not live[row].shown_at(now)} if live else set()

    def shown_until(self, rows: Iterable[int]) -> float:
        """When the first of the rows, all shown now, expires (Unix seconds); infinity when none does."""
        live = self._live
        ends = [end for row in rows if row in live and (end := live[row].expires_at) is not None] if live else []
        return min(ends, default=_EVER)

    def changed_after(self, rows: Iterable[int], moment: float) -> bool:
        """Whether anything changed after a moment (Unix seconds) of those items that are not hidden."""
        changed = [item for row in rows if (item := self._live.get(row))] if self._live else []
        return any(item.updated_at > moment and not (item.hidden or item.deleted) for item in changed)

    def came_after(self, moment: float, now: float) -> bool:
        """Whether an item came in between (Unix seconds) that may be recommended: a new one, one shown again, or one
        whose date of publication was reached."""
        self.next_publication(now)
        return self._came_at > moment

    def next_publication(self, now: float) -> float:
        """The first date of publication after `now` of an item that is not to be recommended before; infinity when
        there is none. Unix seconds."""
        while self._coming and self._coming[0] <= now:
            self._came_at = max(self._came_at, heappop(self._coming))
        return self._coming[0] if self._coming else _EVER

    def title(self, row: int) -> str | None:
        """The item's title, or None when unknown."""
        item = self._live.get(row)
        return self._bundle.catalogue.title(ItemRow(row)) if item is None else item.title or None

    def creator(self, row: int) -> str | None:
        """The item's creator, or None when unknown."""
        item = self._live.get(row)
        return self._bundle.catalogue.creator(ItemRow(row)) if item is None else item.creator or None

    def categories(self, row: int) -> list[str]:
        """The item's categories."""
        item = self._live.get(row)
        return self._bundle.catalogue.categories_of(ItemRow(row)) if item is None else list(item.categories)

    def published_at(self, row: int) -> float | None:
        """When the item appeared (Unix seconds), or None when unknown."""
        item = self._live.get(row)
        if item is not None:
            return item.published_at
        published = int(self._bundle.catalogue.published_at[row])
        return None if published == NO_TIME else published

    def category_code(self, name: str) -> int | None:
        """The code of a category: the bundle's own or, from n_categories on, of the live catalogue; None for none."""
        new = self._new_categories.get(name)
        return new if new is not None else self._bundle.catalogue.categories.row_of(name)

    def category_name(self, code: int) -> str:
        """The category of a code."""
        known = self._bundle.catalogue.categories
        return known[code] if code < len(known) else self._new_category_names[code - len(known)]

    def category_codes(self, row: int) -> list[int]:
        """The codes of the item's categories."""
        item = self._live.get(row)
        if item is None:
            catalogue = self._bundle.catalogue
            codes: list[int] = catalogue.item_categories[
                catalogue.item_indptr[row] : catalogue.item_indptr[row + 1]
            ].tolist()
            return codes
        return [code for code in map(self.category_code, item.categories) if code is not None]

    def moved_to(self, category: str) -> Int32:
        """The rows in a category that the bundle does not have there; int32."""
        return array(self._moved_to.get(category, ()))

    def rows_in(self, category: str, changed: Changed) -> Int32:
        """The rows of a category, in no order; int32."""
        kept = without(self._bundle.catalogue.items_in(category), changed.rows[changed.moved])
        moved = self.moved_to(category)
        return np.concatenate([kept, moved[moved < changed.n_rows]]).astype(np.int32)

    def rows_by(self, creator: str, changed: Changed) -> Int32:
        """The rows of a creator, in no order; int32."""
        code = self._bundle.catalogue.creators.row_of(creator)
        own = array(()) if code is None else rows_where(self._bundle.catalogue.creator_of == code)
        live = array(self._creations.get(creator, ()))
        return np.concatenate([without(own, changed.rows), live[live < changed.n_rows]]).astype(np.int32)

    def vectors(self, rows: Int32) -> Float32:
        """The factors of each row, or its vector by content, or zeros; float32 (len(rows), n_factors)."""
        factors = self._bundle.item_factors
        trained = rows < len(factors)
        if trained.all():
            found = factors[rows]
        else:
            found = np.zeros((len(rows), factors.shape[1]), dtype=np.float32)
            found[trained] = factors[rows[trained]]
        content = self._content.current
        for place in np.flatnonzero(self.by_content(rows)).tolist():
            at = self._content.place_of(int(rows[place]))
            if at is not None and at < len(content.rows):
                found[place] = content.vectors[at]
        return found

    def by_content(self, rows: Int32) -> Bool:
        """Which of the rows have a vector made of what is known of the item, for want of factors; bool (len(rows),)."""
        place_of = self._content.place_of
        if not len(self._content):
            return np.zeros(len(rows), dtype=np.bool_)
        return np.fromiter((place_of(row) is not None for row in rows.tolist()), dtype=np.bool_, count=len(rows))

    def _take(self, item: LiveItem) -> None:
        row = self.row_of(item.item_id)
        if row is None:
            if item.deleted:
                return
            row = len(self._bundle.items) + len(self._new_ids)
            self._new_ids.append(item.item_id.encode("utf-8"))
            self._new_rows[item.item_id] = row
        for name in item.categories:
            if self.category_code(name) is None:
                self._new_categories[name] = len(self._bundle.catalogue.categories) + len(self._new_category_names)
                self._new_category_names.append(name)
        self._file(row, item)
        self._note_coming(row, item)
        self._live[row] = item
        self._content.take(row, item)
        self._put(row, item)

    def _note_coming(self, row: int, item: LiveItem) -> None:
        before = self._live.get(row)
        if item.hidden or item.deleted:
            return
        if item.published_at is not None and item.published_at > item.updated_at:
            heappush(self._coming, item.published_at)
        elif not (before.shown_at(item.updated_at) if before is not None else row < len(self._bundle.items)):
            self._came_at = max(self._came_at, item.updated_at)

    def _file(self, row: int, item: LiveItem) -> None:
        """Moves the row from the categories and the creator it was last seen under to those it is under now."""
        before = self._live.get(row)
        if before is not None:
            for name in before.categories:
                self._moved_to[name].discard(row)
            self._creations[before.creator].discard(row)
        if self._is_moved(row, item):
            for name in item.categories:
                self._moved_to[name].add(row)
        if item.creator:
            self._creations[item.creator].add(row)

    def _put(self, row: int, item: LiveItem) -> None:
        shown = not (item.hidden or item.deleted)
        published = NO_TIME if item.published_at is None else int(item.published_at)
        known = row < len(self._bundle.items)
        values = (
            (self._from, (-_EVER if item.published_at is None else item.published_at) if shown else _EVER),
            (self._until, _EVER if item.expires_at is None else item.expires_at),
            (self._quality, item.quality),
            (self._published, published),
            (self._moved, self._is_moved(row, item)),
            (self._redated, not known or published != int(self._bundle.catalogue.published_at[row])),
            (self._rows, row),
        )
        place = self._places.get(row)
        for column, value in values:
            if place is None:
                self._places[row] = column.append(value)
            else:
                column.put(place, value)

    def _is_moved(self, row: int, item: LiveItem) -> bool:
        if row >= len(self._bundle.items):
            return True
        return set(item.categories) != set(self._bundle.catalogue.categories_of(ItemRow(row)))

    def _columns(self) -> Changed:
        return Changed(
            n_rows=len(self._bundle.items) + len(self._new_ids),
            rows=self._rows.values,
            visible_from=self._from.values,
            visible_until=self._until.values,
            quality=self._quality.values,
            published=self._published.values,
            moved=self._moved.values,
            redated=self._redated.values,
            content=self._content.current,
        )
