"""A bundle in service: the opened arrays and what is derived from them once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Bundle, Float32, Int32, UserRow
from recsvc.serving.candidates import CandidateList
from recsvc.serving.orderings import Orderings

_NEWCOMER_LISTS: Final = 256
"""Lists for newcomers that are kept, one per set of categories and depth."""


@dataclass(frozen=True, slots=True)
class History:
    """What a user has consumed: distinct `items` int32 (n,), signed `confidence` float32 (n,), the user's row."""

    row: UserRow
    items: Int32
    confidence: Float32

    @property
    def has_positive(self) -> bool:
        """Whether anything was liked, so that the user can be folded in."""
        return bool((self.confidence > 0).any())


class ServedModel:
    """One opened bundle with its orderings and the lists of newcomers. A request holds one from start to end."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.orderings = Orderings(bundle)
        self._newcomers: dict[tuple[tuple[str, ...], int], CandidateList] = {}

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.version

    def history(self, user_id: str) -> History | None:
        """The user's training-time interactions, or None for a user the model does not know."""
        row = self.bundle.users.row_of(user_id)
        if row is None:
            return None
        items, confidence = self.bundle.interactions.of(UserRow(row))
        return History(UserRow(row), items, confidence)

    def allowed(self, categories: Sequence[str], consumed: Int32 | None = None) -> Bool:
        """Which items may be recommended: of any of the categories (of all, when none is given), not consumed."""
        if categories:
            mask = np.zeros(len(self.bundle.items), dtype=np.bool_)
            for category in categories:
                mask[self.bundle.catalogue.items_in(category)] = True
        else:
            mask = np.ones(len(self.bundle.items), dtype=np.bool_)
        if consumed is not None:
            mask[consumed] = False
        return mask

    def rows_of(self, item_ids: Iterable[str]) -> frozenset[int]:
        """The rows of those items that the model knows."""
        return frozenset(self.bundle.items.rows_of(item_ids).tolist())

    def newcomers(self, categories: tuple[str, ...], depth: int) -> CandidateList | None:
        """The kept list for users nothing is known of, or None when it was not computed yet."""
        return self._newcomers.get((categories, depth))

    def keep_newcomers(self, categories: tuple[str, ...], depth: int, candidates: CandidateList) -> None:
        """Keeps such a list; the oldest goes when there are too many. For use from one event loop."""
        while len(self._newcomers) >= _NEWCOMER_LISTS:
            del self._newcomers[next(iter(self._newcomers))]
        self._newcomers[categories, depth] = candidates

    @cached_property
    def example_users(self) -> list[str]:
        """A few users with a history to look at, for demonstrations: those of median length and above."""
        lengths = np.diff(self.bundle.interactions.indptr)
        rows = np.flatnonzero(lengths >= max(1, int(np.median(lengths))))
        chosen = rows[np.linspace(0, len(rows) - 1, num=min(5, len(rows)), dtype=np.int64)] if len(rows) else rows
        return [self.bundle.users[int(row)] for row in chosen]
