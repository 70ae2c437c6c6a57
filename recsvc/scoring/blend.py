"""One score out of several: a weighted sum of what factors, neighbours, popularity and spectrum say of an item.

The service and the offline evaluation rank blends through this module alone, so their lists are the same.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import Final

import numpy as np

from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import COMPONENTS, BlendSpec
from recsvc.bundle.types import Bool, Float32, Float64, Int32, Int64, Neighbours, Spectrum
from recsvc.scoring.foldin import Folded, strongest
from recsvc.scoring.retrieval import best_places, first_allowed, top_items
from recsvc.scoring.spectrum import encoded, item_terms

FACTORS, NEIGHBOURS, POPULARITY, SPECTRUM = range(len(COMPONENTS))
"""The rows of `contributions`."""

_RETRIEVED: Final = 400
"""Each component offers at least so many items, and four times as many as are asked for: what is in nobody's first
four hundred has no chance of the first hundred but by a sum of middling scores."""
_DENSE_ITEMS: Final = 200_000
"""In a catalogue of up to so many items neighbours are summed in an array of all of them, else of those met."""
_HALVINGS: Final = 20.0
"""From the most popular item to one whose popularity counts for nothing: a millionth of it."""
_MANY: Final = 8
"""To gather one row in so many of a matrix takes longer than to multiply all of them."""


def bucket_of(spec: BlendSpec, n: int) -> int:
    """The bucket of a history of `n` positive items."""
    return bisect_left(spec.bounds, n)


def popularity_scores(popularity: Float32) -> Float32:
    """1 for the most popular item and 1/20 less for each halving of popularity, down to 0; float32 (n_items,).

    `popularity` float32 (n_items,), not negative, as in `Bundle`. All 0 where nothing is popular. A logarithm, because
    popularity spans orders of magnitude; relative to the largest, so that it means the same whatever the decay.
    """
    wide = popularity.astype(np.float64)
    scores = np.zeros(len(wide))
    liked = wide > 0
    scores[liked] = np.maximum(1.0 + np.log2(wide[liked] / wide.max(initial=0.0)) / _HALVINGS, 0.0)
    return scores.astype(np.float32)


class BlendScorer:
    """The scores of one model for any user; what does not depend on the user is made once. Safe between threads.

    A user is a `vector` float32 (n_factors,) and a `history` int32 (h,), the distinct rows of their positive items.
    The length of the history chooses the weights; rows of items behind the model's have no neighbours, and count.
    """

    def __init__(
        self,
        index: ItemIndex,
        item_factors: Float32,
        neighbours: Neighbours | None,
        popularity: Float32,
        spec: BlendSpec,
        spectrum: Spectrum | None = None,
    ) -> None:
        """`index` by inner product over `item_factors` float32 (n_items, n_factors); `popularity` float32
        (n_items,) as in `Bundle`. Raises ValueError when a weight asks for neighbours or a spectrum not given."""
        for name, found in (("neighbours", neighbours), ("spectrum", spectrum)):
            if found is None and name in spec.components:
                raise ValueError(f"the blend gives {name} a weight, and there are none")
        self.index = index
        self.item_factors = item_factors
        self.neighbours = neighbours
        self.spectrum = spectrum
        self._popularity = popularity
        self._spec = spec
        self._weights = np.array([spec.weights[name] for name in COMPONENTS], dtype=np.float32)

    @cached_property
    def popularity(self) -> Float32:
        """`popularity_scores` of the model's items; float32 (n_items,). Made when first asked for, as an order is of a
        large catalogue: opening a model waits for neither."""
        return popularity_scores(self._popularity)

    @cached_property
    def by_popularity(self) -> Int32:
        """The rows from the most popular on, ties by row; int32 (n_items,)."""
        return np.argsort(-self.popularity, kind="stable").astype(np.int32)

    def weights(self, history_items: int) -> Float32:
        """The weight of each component for a history of so many items, in the order of COMPONENTS; float32 (4,)."""
        return np.asarray(self._weights[:, bucket_of(self._spec, history_items)])

    def of(self, vector: Float32, history: Int32) -> Blended:
        """One user's scores: for several questions in a row."""
        return Blended(self, vector, history)

    def top(self, vector: Float32, history: Int32, k: int, allowed: Bool | None) -> tuple[Int32, Float32]:
        """The best items: (rows int32, scores float32), best first, ties by row.

        Each component with a weight offers its best max(4·k, 400) among `allowed` bool (n_items,) (None: all); all
        that is offered is scored by all components. Items that no neighbour speaks for are not offered by neighbours,
        so fewer than `k` may come. The spectrum offers only where it is alone: to search it takes as long as the
        factors do, and what is in neither's first hundreds but high in its own seldom comes first in the sum.
        """
        return self.of(vector, history).top(k, allowed)

    def score(self, vector: Float32, history: Int32, rows: Int32) -> Float32:
        """The blended score of each of the rows int32 (m,); float32 (m,)."""
        return self.of(vector, history).score(rows)

    def contributions(self, vector: Float32, history: Int32, rows: Int32) -> Float32:
        """What each component adds to the score, in the order of COMPONENTS; float32 (4, m)."""
        return self.of(vector, history).contributions(rows)


class Blended:
    """One user's scores under a `BlendScorer`."""

    def __init__(self, scorer: BlendScorer, vector: Float32, history: Int32) -> None:
        self._scorer = scorer
        self.vector = vector
        self.history = history
        self.weights = scorer.weights(len(history))
        """Of the components, for this user; float32 (4,)."""
        self._sums: _Sums | None = None
        if scorer.neighbours is not None and self.weights[NEIGHBOURS] > 0:
            self._sums = _Sums.of(scorer.neighbours, len(scorer.item_factors), history)
        self._spectrum = scorer.spectrum if self.weights[SPECTRUM] > 0 else None
        self._encoded = None if self._spectrum is None else encoded(self._spectrum, history)

    def top(self, k: int, allowed: Bool | None) -> tuple[Int32, Float32]:
        """As `BlendScorer.top`."""
        wanted = max(4 * k, _RETRIEVED)
        offers: list[Int32] = []
        if self.weights[FACTORS] > 0:
            offers.append(top_items(self._scorer.index, self.vector, wanted, allowed)[0])
        if self._sums is not None:
            offers.append(self._sums.best(wanted, allowed))
        if self.weights[POPULARITY] > 0:
            offers.append(first_allowed(self._scorer.by_popularity, wanted, allowed))
        if not offers:
            offers.append(self._best_smooth(wanted, allowed))
        rows = np.unique(np.concatenate(offers)).astype(np.int32)
        scores = self.score(rows)
        # The rows ascend and the sort is stable: equal scores stay in the order of their rows.
        best = np.argsort(-scores, kind="stable")[:k]
        return rows[best], scores[best]

    def _best_smooth(self, k: int, allowed: Bool | None) -> Int32:
        """The allowed items that the spectrum says most of: at most `k`, and all there are without a spectrum."""
        every = np.arange(len(self._scorer.item_factors), dtype=np.int32)
        rows = every if allowed is None else every[allowed]
        if self._spectrum is None or self._encoded is None:
            return rows
        return rows[best_places(_smooth(self._spectrum, self._encoded, rows), k)]

    def score(self, rows: Int32) -> Float32:
        """As `BlendScorer.score`."""
        return np.asarray(self.contributions(rows).sum(axis=0), dtype=np.float32)

    def contributions(self, rows: Int32) -> Float32:
        """As `BlendScorer.contributions`."""
        found = np.zeros((len(COMPONENTS), len(rows)), dtype=np.float32)
        if self.weights[FACTORS] > 0:
            found[FACTORS] = _products(self._scorer.item_factors, self.vector, rows)
        if self._sums is not None:
            found[NEIGHBOURS] = self._sums.at(rows)
        if self.weights[POPULARITY] > 0:
            found[POPULARITY] = self._scorer.popularity[rows]
        if self._spectrum is not None and self._encoded is not None:
            found[SPECTRUM] = _smooth(self._spectrum, self._encoded, rows)
        found *= self.weights[:, None]
        return found

    def explain(self, rows: Int32, vectors: Float32, folded: Folded | None, per_item: int) -> Int32:
        """For each of the rows int32 (m,), distinct, the items of the history that raised its score most; int32
        (m, per_item), as `strongest` gives them.

        What an item of the history adds is the weighted sum of its term in the fold-in (`Folded.terms`, which takes
        `vectors` float32 (m, n_factors); without a fold-in, nothing), of what it says as a neighbour and of its share
        of the spectrum.
        """
        terms = self.neighbour_terms(rows).astype(np.float64)
        if self._spectrum is not None:
            terms += self.weights[SPECTRUM] * item_terms(self._spectrum, self.history, rows)
        if folded is not None and self.weights[FACTORS] > 0:
            terms += self.weights[FACTORS] * folded.terms(vectors)[1]
        return strongest(self.history, terms, per_item)

    def neighbour_terms(self, rows: Int32) -> Float32:
        """What each item of the history adds to the score of each row by neighbours; float32 (h, m).

        `rows` int32 (m,) distinct; the sum over the history is row NEIGHBOURS of `contributions`.
        """
        found = np.zeros((len(self.history), len(rows)), dtype=np.float32)
        if self._sums is None or not len(rows):
            return found
        # A look-up of the whole catalogue is written faster than many entries are searched for in a few rows.
        columns_of = np.full(len(self._scorer.item_factors), -1, dtype=np.int32)
        trained = np.flatnonzero(rows < len(columns_of))
        columns_of[rows[trained]] = trained
        columns = columns_of[self._sums.items]
        here = np.flatnonzero(columns >= 0)
        by_item = np.repeat(np.arange(len(self.history)), self._sums.lengths)[here]
        found[by_item, columns[here]] = self._sums.terms[here] * self.weights[NEIGHBOURS]
        return found


class _Sums:
    """The rows of a history in the matrix of neighbours, laid end to end, and their sum by scored item.

    `items` int32 (e,) and `terms` float32 (e,) are the entries; `lengths` int64 (h,) how many each item of the history
    has.
    """

    def __init__(self, items: Int32, terms: Float32, lengths: Int64, n_items: int) -> None:
        self.items = items
        self.terms = terms
        self.lengths = lengths
        self._rows: Int32 | None = None
        """The scored items, ascending, or None where every item has a place in `_sums`."""
        if n_items <= _DENSE_ITEMS:
            self._sums: Float64 = np.bincount(items, weights=terms, minlength=n_items).astype(np.float64, copy=False)
        else:
            rows, inverse = np.unique(items, return_inverse=True)
            self._rows = rows
            self._sums = np.bincount(inverse, weights=terms, minlength=len(rows)).astype(np.float64, copy=False)

    @classmethod
    def of(cls, neighbours: Neighbours, n_items: int, history: Int32) -> _Sums:
        """Of the items of a history; those that the matrix does not know have no entries."""
        known = history < n_items
        rows = np.where(known, history, 0)
        starts = np.asarray(neighbours.indptr[rows])
        lengths = np.where(known, neighbours.indptr[rows + 1] - starts, 0)
        before = np.cumsum(lengths) - lengths
        entries = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
        return cls(neighbours.items[entries], neighbours.weights[entries], lengths, n_items)

    def at(self, rows: Int32) -> Float64:
        """The sum of each of the rows, 0 for what has no entry; float64 (len(rows),)."""
        if self._rows is None:
            return np.asarray(self._sums[rows])
        if not len(self._rows):
            return np.zeros(len(rows))
        places = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        return np.where(self._rows[places] == rows, self._sums[places], 0.0)

    def best(self, k: int, allowed: Bool | None) -> Int32:
        """The allowed items with the largest sums above 0, at most `k`; int32."""
        above = np.flatnonzero(self._sums > 0)
        rows = above if self._rows is None else self._rows[above]
        if allowed is not None:
            shown = allowed[rows]
            rows, above = rows[shown], above[shown]
        return np.asarray(rows[best_places(self._sums[above].astype(np.float32), k)], dtype=np.int32)


def _products(factors: Float32, vector: Float32, rows: Int32) -> Float32:
    """The inner product of each row's factors with the vector; float32 (len(rows),).

    Each is summed by itself, so that it is the same to the bit whatever other rows it is computed with: BLAS gives no
    such promise, and two lists that should be equal would not be where scores are close.
    """
    if len(rows) * _MANY > len(factors):
        return np.asarray(np.einsum("ij,j->i", factors, vector)[rows])
    return np.asarray(np.einsum("ij,j->i", factors[rows], vector), dtype=np.float32)


def _smooth(spectrum: Spectrum, encoded: Float32, rows: Int32) -> Float32:
    """What the spectrum says of each row; float32 (len(rows),)."""
    return np.asarray(_products(spectrum.vectors, encoded, rows) * spectrum.scale[rows], dtype=np.float32)
