"""The lists that are the same for everybody: trending, popular, latest, whole or by category."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from recsvc.bundle.types import NO_TIME, Bool, Bundle, Float32, Int32, Int64
from recsvc.serving.candidates import NO_REASON, CandidateList, Source, alternated, joined, plain
from recsvc.serving.degraded import Degraded

SPREAD_CATEGORIES: Final = 24
"""So many categories, the most popular ones, take turns in a newcomer's list."""


class Orderings:
    """Orderings of one opened bundle, each computed when first asked for and kept; safe between threads."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._lock = threading.Lock()
        self._known: dict[tuple[Source, int | None], Int32] = {}
        self._best_categories: Int32 | None = None

    def order(self, source: Source, category: int | None = None) -> Int32:
        """Item rows of a source, best first, of all items or of one category code; int32 (≤ n_items,).

        Trending has only items whose trend is positive, latest only those with a date, popular every item.
        """
        with self._lock:
            known = self._known.get((source, category))
            if known is None:
                known = self._known[source, category] = self._sorted(source, category)
            return known

    def head(self, source: Source, allowed: Bool, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """The best `depth` allowed items of a source; `allowed` bool (n_items,)."""
        order = self.order(source)
        rows = order[allowed[order]][:depth]
        return plain(rows, self._scores(source, rows), source, self._reason_categories(rows, categories))

    def mixed(self, allowed: Bool, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """Trending and popular allowed items in turns, `depth` at most."""
        trending = self.head(Source.TRENDING, allowed, depth, categories)
        popular = self.head(Source.POPULAR, allowed, depth, categories)
        return joined([alternated(trending, popular)], depth=depth, complete=False, degraded=self.fallback())

    def spread(self, allowed: Bool, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """A newcomer's list: the categories take turns, in each trending and popular items do.

        A longer list begins with the shorter one: every lane is at least `depth` deep, so the cut comes before
        the end of a lane that was shortened.
        """
        codes = self._lanes(categories)
        lanes = [self._lane(code, allowed, depth, popular_first=place % 2 == 1) for place, code in enumerate(codes)]
        parts = [self.mixed(allowed, depth, categories)]
        if lanes:
            parts.insert(0, _in_turns(lanes))
        complete = int(np.count_nonzero(allowed)) <= depth
        return joined(parts, depth=depth, complete=complete, degraded=self.fallback())

    def fallback(self) -> tuple[Degraded, ...]:
        """What has to be said of every list that should hold trending items."""
        return () if len(self.order(Source.TRENDING)) else (Degraded.TRENDING,)

    def _lane(self, code: int, allowed: Bool, depth: int, *, popular_first: bool) -> CandidateList:
        def part(source: Source) -> CandidateList:
            order = self.order(source, code)
            rows = order[allowed[order]][:depth]
            codes = np.full(len(rows), code, dtype=np.int32)
            return plain(rows, self._scores(source, rows), source, codes)

        first, second = part(Source.TRENDING), part(Source.POPULAR)
        # Every other lane begins with the popular item, so that the first screen shows both.
        turns = alternated(second, first) if popular_first else alternated(first, second)
        return joined([turns], depth=depth, complete=False, degraded=())

    def _lanes(self, categories: Sequence[str]) -> list[int]:
        if categories:
            codes = (self._bundle.catalogue.categories.row_of(category) for category in categories)
            wanted = {code for code in codes if code is not None}
            return [code for code in self._categories_by_popularity().tolist() if code in wanted]
        return [int(code) for code in self._categories_by_popularity()[:SPREAD_CATEGORIES]]

    def _categories_by_popularity(self) -> Int32:
        with self._lock:
            if self._best_categories is None:
                catalogue = self._bundle.catalogue
                running = np.zeros(len(catalogue.category_items) + 1)
                np.cumsum(self._bundle.popularity[catalogue.category_items], out=running[1:])
                sums = running[catalogue.category_indptr[1:]] - running[catalogue.category_indptr[:-1]]
                self._best_categories = np.argsort(-sums, kind="stable").astype(np.int32)
            return self._best_categories

    def _sorted(self, source: Source, category: int | None) -> Int32:
        catalogue = self._bundle.catalogue
        if category is None:
            rows = np.arange(len(self._bundle.items), dtype=np.int32)
        else:
            span = catalogue.category_indptr[category : category + 2]
            rows = np.asarray(catalogue.category_items[span[0] : span[1]])
        values = self._values(source)[rows]
        if source is Source.TRENDING:
            rows, values = rows[values > 0], values[values > 0]
        elif source is Source.LATEST:
            rows, values = rows[values != NO_TIME], values[values != NO_TIME]
        return np.asarray(rows[np.argsort(-values, kind="stable")], dtype=np.int32)

    def _values(self, source: Source) -> Float32 | Int64:
        if source is Source.LATEST:
            return self._bundle.catalogue.published_at
        return self._bundle.trending if source is Source.TRENDING else self._bundle.popularity

    def _scores(self, source: Source, rows: Int32) -> Float32:
        """Share of the best value of the source, 0 to 1; for latest, of the newest date, as a rank from 1 down."""
        if source is Source.LATEST:
            return np.linspace(1.0, 0.0, num=len(rows), endpoint=False, dtype=np.float32)
        order = self.order(source)
        values = self._values(source)
        best = float(values[order[0]]) if len(order) else 0.0
        return np.asarray(values[rows] / best if best > 0 else np.zeros(len(rows)), dtype=np.float32)

    def _reason_categories(self, rows: Int32, categories: Sequence[str]) -> Int32:
        """For each item the first of its categories that was asked for, else its first one, else NO_REASON."""
        catalogue = self._bundle.catalogue
        asked = {catalogue.categories.row_of(category) for category in categories}
        codes = np.full(len(rows), NO_REASON, dtype=np.int32)
        for position, row in enumerate(rows.tolist()):
            own = catalogue.item_categories[catalogue.item_indptr[row] : catalogue.item_indptr[row + 1]].tolist()
            codes[position] = next((code for code in own if code in asked), own[0] if own else NO_REASON)
        return codes


def _in_turns(lanes: list[CandidateList]) -> CandidateList:
    """One candidate of each lane, then the next of each, and so on; repeats stay."""
    turns = np.concatenate([np.arange(len(lane)) for lane in lanes])
    order = np.argsort(turns, kind="stable")
    return CandidateList(
        np.concatenate([lane.rows for lane in lanes])[order],
        np.concatenate([lane.scores for lane in lanes])[order],
        np.concatenate([lane.sources for lane in lanes])[order],
        np.concatenate([lane.reasons for lane in lanes])[order],
        complete=False,
    )
