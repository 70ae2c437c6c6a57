"""Ids, rows and the opened bundle.

An id is what callers know (a string); a row is what arrays know (an integer). They never mix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NewType

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from recsvc.bundle.index import ItemIndex
    from recsvc.bundle.manifest import Manifest

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)
UserRow = NewType("UserRow", int)
ItemRow = NewType("ItemRow", int)

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

NO_TIME: Final = -(2**63)
"""In `Catalogue.published_at`: not known."""


class StringTable:
    """Immutable strings in two arrays, read in place: string i is data[offsets[i]:offsets[i+1]] in UTF-8.

    `offsets` int64 (n + 1,), `data` uint8 (total bytes,). Both may be memory maps.
    """

    __slots__ = ("_count", "_starts", "_view", "data", "offsets")

    def __init__(self, offsets: Int64, data: UInt8) -> None:
        self.offsets = offsets
        self.data = data
        self._view = memoryview(data.data)
        # Indexing a memory view gives plain numbers, in half the time that an array takes.
        self._starts = memoryview(offsets.data)
        self._count = len(offsets) - 1

    @classmethod
    def of(cls, strings: Iterable[str]) -> StringTable:
        """Builds the table of the strings, in their order."""
        encoded = [s.encode("utf-8") for s in strings]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(e) for e in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), dtype=np.uint8))

    def __len__(self) -> int:
        return self._count

    def bytes_at(self, row: int) -> bytes:
        """The UTF-8 bytes of string `row`."""
        return self._view[self._starts[row] : self._starts[row + 1]].tobytes()

    def all_bytes(self, rows: Sequence[int]) -> list[bytes]:
        """The UTF-8 bytes of the strings of these rows, in their order."""
        view, starts = self._view, self._starts
        return [view[starts[row] : starts[row + 1]].tobytes() for row in rows]

    def __getitem__(self, row: int) -> str:
        if not 0 <= row < self._count:
            raise IndexError(row)
        return str(self._view[self._starts[row] : self._starts[row + 1]], "utf-8")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))


class IdTable(StringTable):
    """A string table sorted by UTF-8 bytes, without repeats: searched in place, no dict in memory."""

    __slots__ = ()

    @classmethod
    def of(cls, strings: Iterable[str]) -> IdTable:
        """Builds the table of the distinct strings, sorted by their UTF-8 bytes."""
        table = StringTable.of(sorted(set(strings), key=lambda s: s.encode("utf-8")))
        return cls(table.offsets, table.data)

    def row_of(self, value: str) -> int | None:
        """The row of an id, or None. O(log n) comparisons on the mapped bytes."""
        try:
            wanted = value.encode("utf-8")
        except UnicodeEncodeError:
            return None
        view, starts, low, high = self._view, self._starts, 0, self._count
        while low < high:
            middle = (low + high) // 2
            if view[starts[middle] : starts[middle + 1]].tobytes() < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self._count and self.bytes_at(low) == wanted else None

    def rows_of(self, values: Iterable[str]) -> Int32:
        """The rows of those ids that are known, in their order; int32 (≤ len(values),)."""
        found = (self.row_of(value) for value in values)
        return np.fromiter((row for row in found if row is not None), dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Interactions:
    """The training matrix, users × items, as CSR.

    `indptr` int64 (n_users + 1,); `items` int32 (nnz,), ascending within a user; `confidence` float32 (nnz,),
    signed: +c is a preference of 1 held with confidence c, -c a preference of 0 held with confidence c; |c| ≥ 1,
    1 being the confidence of an absent pair (Hu, Koren & Volinsky, ICDM 2008; the sign is `implicit`'s). So -1 is
    a pair that was consumed but whose weight has faded: it changes no factor, and the item still counts as seen.
    """

    indptr: Int64
    items: Int32
    confidence: Float32

    def of(self, user: UserRow) -> tuple[Int32, Float32]:
        """The item rows and confidences of one user: two views of equal length."""
        span = slice(int(self.indptr[user]), int(self.indptr[user + 1]))
        return self.items[span], self.confidence[span]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of each item, by item row.

    `titles` n_items strings ("" when unknown); `creators` sorted distinct creator ids; `creator_of` int32
    (n_items,), -1 when unknown; `categories` sorted distinct category ids; `item_indptr`/`item_categories`
    CSR item → category codes; `category_indptr`/`category_items` CSR category → item rows, ascending;
    `published_at` int64 (n_items,) Unix seconds, NO_TIME when unknown.
    """

    titles: StringTable
    creators: IdTable
    creator_of: Int32
    categories: IdTable
    item_indptr: Int64
    item_categories: Int32
    category_indptr: Int64
    category_items: Int32
    published_at: Int64

    def title(self, item: ItemRow) -> str | None:
        """The item's title, or None when unknown."""
        return self.titles[item] or None

    def creator(self, item: ItemRow) -> str | None:
        """The item's creator id, or None when unknown."""
        code = int(self.creator_of[item])
        return self.creators[code] if code >= 0 else None

    def categories_of(self, item: ItemRow) -> list[str]:
        """The item's category ids."""
        span = self.item_categories[self.item_indptr[item] : self.item_indptr[item + 1]]
        return [self.categories[int(code)] for code in span]

    def items_in(self, category: str) -> Int32:
        """The item rows of a category, ascending; empty for an unknown category."""
        code = self.categories.row_of(category)
        if code is None:
            return np.empty(0, dtype=np.int32)
        return self.category_items[self.category_indptr[code] : self.category_indptr[code + 1]]


@dataclass(frozen=True, slots=True)
class Orders:
    """Item rows, best first, equal ones by row; int32 all.

    `popular` (n_items,) every item by popularity; `trending` (≤ n_items,) those whose trend is above 0; `latest`
    (≤ n_items,) those with a date; `category_popular` as `Catalogue.category_items`, each category by popularity.
    """

    popular: Int32
    trending: Int32
    latest: Int32
    category_popular: Int32


@dataclass(frozen=True, slots=True)
class ContentMap:
    """From what is known of an item to its factors: bias + the sum of the weights of its features.

    `features` the names that `recsvc.scoring.content.item_features` gives, sorted; `weights` float32 (n_features,
    n_factors), row i belongs to features[i]; `bias` float32 (n_factors,).
    """

    features: IdTable
    weights: Float32
    bias: Float32


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How much each item speaks for others: item × item, as CSR by the item that a user has met.

    `indptr` int64 (n_items + 1,); `items` int32 (nnz,), the scored items, ascending within a row; `weights` float32
    (nnz,), finite; a linear model has negative ones too. Row j is what a preference for item j adds to other items.
    """

    indptr: Int64
    items: Int32
    weights: Float32

    def of(self, row: ItemRow) -> tuple[Int32, Float32]:
        """The items that one item speaks for, and its weights: two views of equal length."""
        span = slice(int(self.indptr[row]), int(self.indptr[row + 1]))
        return self.items[span], self.weights[span]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A linear low-pass filter of histories: item × item weights of low rank.

    `vectors` float32 (n_items, k) = V, the leading right singular vectors of the scaled training matrix, row i belongs
    to item i; `scale` float32 (n_items,) = s, above 0. In a history of h items, a
    preference for item j adds h^(−½) V_j/s_j · s_i V_i to item i.
    """

    vectors: Float32
    scale: Float32


@dataclass(frozen=True, slots=True)
class Bundle:
    """One trained, versioned model, opened: every array is a read-only memory map.

    `user_factors` float32 (n_users, n_factors), row u belongs to `users[u]`; `item_factors` float32
    (n_items, n_factors); `gram` float64 = YᵀY of the item factors, (n_factors, n_factors) or, where they lie along
    their principal axes, its diagonal (n_factors,); `popularity` float32 (n_items,) the summed positive weight of each
    item; `trending` float32 (n_items,) recent weight against the longer run, all 0 when the data has no times; `index`
    over the item factors, by inner product; `content` None in format 1, and where nothing is known of the items;
    `neighbours` None before format 3, and where no weight of the blend asks for them; `spectrum` None before format 4,
    and likewise; `orders` None in bundles of releases that did not write them.
    """

    path: Path
    manifest: Manifest
    users: IdTable
    items: IdTable
    user_factors: Float32
    item_factors: Float32
    gram: Float64
    interactions: Interactions
    popularity: Float32
    trending: Float32
    catalogue: Catalogue
    index: ItemIndex
    content: ContentMap | None = None
    neighbours: Neighbours | None = None
    spectrum: Spectrum | None = None
    orders: Orders | None = None

    @property
    def version(self) -> str:
        """The bundle's version, as in the registry."""
        return self.manifest.version
