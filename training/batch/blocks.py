"""The best items of many users by their factors: products of a tile at a time, and only their best looked at twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import Bool, Float32, Int32, Int64, Interactions

BLOCK_USERS: Final = 128
_TILE_ITEMS: Final = 4_096
"""The products of a tile are 2 MB: still in the core's cache, or the next one, when they are searched."""
_GROUPS_PER_ITEM: Final = 8
"""Groups of items for each item asked for: the more there are, the closer their best are to the best of all."""
_ROUNDING: Final = np.float32(1 + 1e-4)
"""A product in float32 may be a little more than the lengths allow."""


@dataclass(frozen=True, slots=True)
class ItemTiles:
    """The items from the longest vector to the shortest, so that whole tiles can be left out in the end.

    `by_factor` float32 (n_factors, n_items) in that order; `rows` int32 (n_items,) the row of each place; `place_of`
    int32 (n_items,) the place of each row; `lengths` float32 (n_items,) of each place.
    """

    by_factor: Float32
    rows: Int32
    place_of: Int32
    lengths: Float32

    @classmethod
    def of(cls, item_factors: Float32) -> ItemTiles:
        """Of float32 (n_items, n_factors)."""
        lengths = np.sqrt(np.einsum("ij,ij->i", item_factors, item_factors))
        rows = np.argsort(-lengths, kind="stable").astype(np.int32)
        place_of = np.empty_like(rows)
        place_of[rows] = np.arange(len(rows), dtype=np.int32)
        return cls(np.ascontiguousarray(item_factors[rows].T), rows, place_of, lengths[rows])


def best_of_block(users: Float32, items: ItemTiles, seen: Interactions, first: int, k: int) -> tuple[Int32, Float32]:
    """The best `k` unseen items of consecutive users: rows int32 (b, k), -1 behind the last; scores float32 (b, k).

    `users` float32 (b, n_factors) are the rows from `first` on of those that `seen` has. Best first, ties by row. A
    user is done when no item of the tiles to come is long enough to be among their best.
    """
    n_users, n_items = len(users), len(items.rows)
    k = min(k, n_items)
    bound = _Bound(n_users, k)
    width = bound.groups * max(1, _TILE_ITEMS // bound.groups)
    reach = np.sqrt(np.einsum("ij,ij->i", users, users)) * _ROUNDING
    mask = _Mask.of(items, seen, first, n_users)
    going = np.arange(n_users)
    least = np.full(n_users, -np.inf, dtype=np.float32)
    out = np.empty((n_users, width), dtype=np.float32)
    found: list[tuple[npt.NDArray[np.intp], Int32, Float32]] = []
    for number, start in enumerate(range(0, n_items, width)):
        end = min(start + width, n_items)
        stay = reach * items.lengths[start] >= bound.least
        if not stay.all():
            users, reach, going = users[stay], reach[stay], going[stay]
            bound.keep(stay)
        if not len(going):
            break
        products = np.matmul(users, items.by_factor[:, start:end], out=out[: len(going), : end - start])
        mask.hide(products, going, start, end)
        bound.take(products, number)
        least[going] = bound.least
        at, columns = np.divmod(np.flatnonzero(products >= bound.least[:, None]), end - start)
        found.append((going[at], items.rows[start + columns], products[at, columns]))
    return _first_of_each(found, least, k)


class _Bound:
    """What an item has to reach to be among the best `k` of each user. At least `k` items reach the k-th largest of the
    groups' best ones, whatever the groups are; here item i of a tile is in group i modulo their number."""

    def __init__(self, n_users: int, k: int) -> None:
        self.groups = _GROUPS_PER_ITEM * k
        self.least: Float32 = np.full(n_users, -np.inf, dtype=np.float32)
        self._best: Float32 = np.full((n_users, self.groups), -np.inf, dtype=np.float32)
        self._k = k

    def keep(self, stay: Bool) -> None:
        """Only those of the users."""
        self.least, self._best = self.least[stay], self._best[stay]

    def take(self, products: Float32, number: int) -> None:
        """Takes in the products of a tile."""
        for start in range(0, products.shape[1], self.groups):
            some = products[:, start : start + self.groups]
            own = self._best[:, : some.shape[1]]
            np.maximum(own, some, out=own)
        # It rises less and less: worth its price after 1, 2, 4, 8, 16, 24, … tiles.
        if number & (number + 1) == 0 or number % 8 == 7:
            self.least = np.partition(self._best, self.groups - self._k, axis=1)[:, self.groups - self._k]


class _Mask:
    """The seen items of a block's users by place: who, and where."""

    def __init__(self, who: Int64, places: Int32) -> None:
        order = np.argsort(places, kind="stable")
        self._who = who[order]
        self._places = places[order]

    @classmethod
    def of(cls, items: ItemTiles, seen: Interactions, first: int, n_users: int) -> _Mask:
        span = seen.indptr[first : first + n_users + 1]
        return cls(np.repeat(np.arange(n_users), np.diff(span)), items.place_of[seen.items[span[0] : span[-1]]])

    def hide(self, products: Float32, going: npt.NDArray[np.intp], start: int, end: int) -> None:
        """-inf for what was seen, in the products of the users `going` (ascending) with the places start..end-1."""
        low, high = np.searchsorted(self._places, (start, end))
        who, places = self._who[low:high], self._places[low:high]
        at = np.searchsorted(going, who)
        here: Bool = going[np.minimum(at, len(going) - 1)] == who
        products[at[here], places[here] - start] = -np.inf


def _first_of_each(
    found: list[tuple[npt.NDArray[np.intp], Int32, Float32]], least: Float32, k: int
) -> tuple[Int32, Float32]:
    """Each user's first `k` of what was found: users, rows and values. What is less than the user's `least` float32
    (n_users,) is none of them, which was not known when it was found; and what is -inf may not come."""
    n_users = len(least)
    users, rows, values = (np.concatenate(column) for column in zip(*found, strict=True))
    reached = values >= least[users]
    users, rows, values = users[reached], rows[reached], values[reached]
    order = np.lexsort((rows, -values, users))
    users, rows, values = users[order], rows[order], values[order]
    ranks = np.arange(len(users)) - np.searchsorted(users, np.arange(n_users))[users]
    kept = (ranks < k) & (values > -np.inf)
    best = np.full((n_users, k), -1, dtype=np.int32)
    scores = np.full((n_users, k), -np.inf, dtype=np.float32)
    best[users[kept], ranks[kept]] = rows[kept]
    scores[users[kept], ranks[kept]] = values[kept]
    return best, scores
