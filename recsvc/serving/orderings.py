"""The lists that are the same for everybody: trending, popular, latest, whole or by category."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import numpy as np

from recsvc.bundle.orderings import descending
from recsvc.bundle.types import NO_TIME, Bool, Bundle, Float32, Int32, Int64
from recsvc.scoring.retrieval import first_allowed
from recsvc.serving.candidates import NO_REASON, CandidateList, Source, alternated, joined, plain
from recsvc.serving.degraded import Degraded
from recsvc.serving.eligible import NO_ROWS, Eligible
from recsvc.serving.view import Changed, LiveView

SPREAD_CATEGORIES: Final = 24
"""So many categories, the most popular ones, take turns in a newcomer's list."""


class Orderings:
    """Orderings of one opened bundle, each computed when first asked for and kept; safe between threads.

    What changed since the bundle is merged in for each list: `Eligible` says what.
    """

    def __init__(self, bundle: Bundle, view: LiveView) -> None:
        self._bundle = bundle
        self._view = view
        self._lock = threading.Lock()
        self._known: dict[tuple[Source, int | None], Int32] = {}
        self._best_categories: Int32 | None = None

    def order(self, source: Source, category: int | None = None) -> Int32:
        """The bundle's item rows of a source, best first, of all items or of one category code; int32 (≤ n_items,).

        Trending has only items whose trend is positive, latest only those with a date, popular every item.
        """
        with self._lock:
            known = self._known.get((source, category))
            if known is None:
                known = self._known[source, category] = self._stored(source, category)
            return known

    def head(self, source: Source, among: Eligible, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """The best `depth` eligible items of a source. Popular ends with what is newer than the bundle."""
        rows, scores = self._latest(among, depth) if source is Source.LATEST else self._best(source, None, among, depth)
        return plain(rows, scores, source, self.reason_categories(rows, categories))

    def mixed(self, among: Eligible, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """Trending and popular eligible items in turns, `depth` at most."""
        trending = self.head(Source.TRENDING, among, depth, categories)
        popular = self.head(Source.POPULAR, among, depth, categories)
        return joined([alternated(trending, popular)], depth=depth, complete=False, degraded=self.fallback())

    def spread(self, among: Eligible, depth: int, categories: Sequence[str] = ()) -> CandidateList:
        """A newcomer's list: the categories take turns, in each trending and popular items do.

        A longer list begins with the shorter one: every lane is at least `depth` deep, so the cut comes before
        the end of a lane that was shortened.
        """
        codes = self._lanes(categories)
        lanes = [self._lane(code, among, depth, popular_first=place % 2 == 1) for place, code in enumerate(codes)]
        parts = [self.mixed(among, depth, categories)]
        if lanes:
            parts.insert(0, _in_turns(lanes))
        return joined(parts, depth=depth, complete=among.count <= depth, degraded=self.fallback())

    def has_dates(self, changed: Changed) -> bool:
        """Whether any item has a date, so that there is a latest list."""
        return bool(len(self.order(Source.LATEST)) or (changed.published != NO_TIME).any())

    def fallback(self) -> tuple[Degraded, ...]:
        """What has to be said of every list that should hold trending items."""
        return () if len(self.order(Source.TRENDING)) else (Degraded.TRENDING,)

    def _lane(self, code: int, among: Eligible, depth: int, *, popular_first: bool) -> CandidateList:
        def part(source: Source) -> CandidateList:
            rows, scores = self._best(source, code, among, depth)
            return plain(rows, scores, source, np.full(len(rows), code, dtype=np.int32))

        first, second = part(Source.TRENDING), part(Source.POPULAR)
        # Every other lane begins with the popular item, so that the first screen shows both.
        turns = alternated(second, first) if popular_first else alternated(first, second)
        return joined([turns], depth=depth, complete=False, degraded=())

    def _lanes(self, categories: Sequence[str]) -> list[int]:
        if categories:
            codes = (self._view.category_code(category) for category in categories)
            wanted = {code for code in codes if code is not None}
            known = [code for code in self._categories_by_popularity().tolist() if code in wanted]
            return known + sorted(wanted.difference(known))
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

    def _stored(self, source: Source, category: int | None) -> Int32:
        """As the bundle has it, where it does."""
        orders, catalogue = self._bundle.orders, self._bundle.catalogue
        if orders is None:
            return self._sorted(source, category)
        if category is None:
            if source is Source.LATEST:
                return orders.latest
            return orders.trending if source is Source.TRENDING else orders.popular
        if source is Source.POPULAR and category < len(catalogue.categories):
            start, end = catalogue.category_indptr[category : category + 2]
            return orders.category_popular[start:end]
        return self._sorted(source, category)

    def _sorted(self, source: Source, category: int | None) -> Int32:
        catalogue = self._bundle.catalogue
        if category is None:
            rows = np.arange(len(self._bundle.items), dtype=np.int32)
        elif category >= len(catalogue.categories):
            rows = NO_ROWS
        else:
            span = catalogue.category_indptr[category : category + 2]
            rows = np.asarray(catalogue.category_items[span[0] : span[1]])
        values = self._values(source)[rows]
        if source is Source.TRENDING:
            rows = rows[values > 0]
        elif source is Source.LATEST:
            rows = rows[values != NO_TIME]
        return descending(self._values(source), rows)

    def _values(self, source: Source) -> Float32 | Int64:
        if source is Source.LATEST:
            return self._bundle.catalogue.published_at
        return self._bundle.trending if source is Source.TRENDING else self._bundle.popularity

    def _best(self, source: Source, category: int | None, among: Eligible, depth: int) -> tuple[Int32, Float32]:
        """The best eligible rows of trending or popular, and their scores: shares of the best value, 0 to 1."""
        order, allowed = self.order(source, category), among.allowed
        added = self._new_rows(among.changed) if source is Source.POPULAR else NO_ROWS
        if category is not None:
            allowed = _but(allowed, among.changed.rows[among.changed.moved])
            added = self._view.moved_to(self._view.category_name(category))
            added = added[added < among.changed.n_rows]
        added = added[among.allowed[added]]
        if source is Source.TRENDING:
            added = added[self._shares(source, added) > 0]
        demoted = NO_ROWS
        if among.factors is None:
            head = first_allowed(order, depth, allowed)
        else:
            # What is demoted may belong further down than the first `depth`, and everything else in its place.
            order = order[allowed[order]]
            lowered = among.factors[order] < 1.0
            head, demoted = order[~lowered][:depth], order[lowered]
        rows = np.concatenate([head, demoted, added]).astype(np.int32)
        scores = among.weighed(rows, self._shares(source, rows))
        if len(demoted) or len(added):
            best = np.argsort(-scores, kind="stable")[:depth]
            rows, scores = rows[best], scores[best]
        return rows, scores

    def _latest(self, among: Eligible, depth: int) -> tuple[Int32, Float32]:
        """The newest eligible rows; the score is the rank, from 1 down."""
        changed, order = among.changed, self.order(Source.LATEST)
        allowed = _but(among.allowed, changed.rows[changed.redated])
        # A demoted item gives its place to all behind it, so the first `depth` are not enough.
        order = first_allowed(order, depth, allowed) if among.factors is None else order[allowed[order]]
        dated = changed.redated & (changed.published != NO_TIME) & among.allowed[changed.rows]
        rows = np.concatenate([changed.rows[dated], order]).astype(np.int32)
        dates = np.concatenate([changed.published[dated], self._bundle.catalogue.published_at[order]])
        rows = rows[np.argsort(-dates, kind="stable")]
        if among.factors is not None:
            rows = rows[np.argsort(-among.weighed(rows, _ranks(len(rows))), kind="stable")]
        return rows[:depth], _ranks(min(depth, len(rows)))

    def _new_rows(self, changed: Changed) -> Int32:
        """What the bundle does not know, newest first."""
        new = changed.rows >= len(self._bundle.items)
        rows = changed.rows[new]
        return rows[np.argsort(changed.published[new], kind="stable")[::-1]]

    def _shares(self, source: Source, rows: Int32) -> Float32:
        """The rows' values as shares of the best one of the source, 0 for what the bundle does not know."""
        order = self.order(source)
        values = self._values(source)
        best = float(values[order[0]]) if len(order) else 0.0
        shares = np.zeros(len(rows), dtype=np.float32)
        if best > 0:
            known = rows < len(self._bundle.items)
            shares[known] = values[rows[known]] / best
        return shares

    def reason_categories(self, rows: Int32, categories: Sequence[str]) -> Int32:
        """For each item the first of its categories that was asked for, else its first one, else NO_REASON."""
        asked = {self._view.category_code(category) for category in categories}
        codes = np.full(len(rows), NO_REASON, dtype=np.int32)
        for position, row in enumerate(rows.tolist()):
            own = self._view.category_codes(row)
            codes[position] = next((code for code in own if code in asked), own[0] if own else NO_REASON)
        return codes


def _but(allowed: Bool, rows: Int32) -> Bool:
    """What is allowed, without these rows."""
    if not len(rows):
        return allowed
    others = allowed.copy()
    others[rows] = False
    return others


def _ranks(count: int) -> Float32:
    return np.linspace(1.0, 0.0, num=count, endpoint=False, dtype=np.float32)


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
