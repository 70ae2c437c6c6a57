"""Lists of stored users, ranked as the service ranks them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from recsvc.bundle.types import Bool, Bundle, Float32, Int32, Interactions, UserRow
from recsvc.scoring.blend import BlendScorer
from recsvc.scoring.retrieval import first_allowed
from training.batch.blocks import BLOCK_USERS, ItemTiles, best_of_block
from training.half_step import cores


@dataclass(frozen=True, slots=True)
class Lists:
    """Of consecutive users: `items` int32 (b, k) rows, best first, -1 behind the last; `scores` float32 (b, k)."""

    items: Int32
    scores: Float32


class Lister(Protocol):
    """Makes the lists of the users first..end-1, k items each; safe between threads."""

    def lists(self, first: int, end: int, k: int) -> Lists:
        """See the class."""
        ...


class ByFactors:
    """The unseen items with the largest products: of kinds als and bpr. Exact, whatever the bundle's index is."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._items = ItemTiles.of(bundle.item_factors)

    def lists(self, first: int, end: int, k: int) -> Lists:
        """See `Lister`."""
        bundle = self._bundle
        return Lists(*best_of_block(bundle.user_factors[first:end], self._items, bundle.interactions, first, k))


class ByBlend:
    """By the service's own blend, one user after another: what each component offers is scored by all of them."""

    def __init__(self, bundle: Bundle, scorer: BlendScorer) -> None:
        self._bundle = bundle
        self._scorer = scorer

    def lists(self, first: int, end: int, k: int) -> Lists:
        """See `Lister`."""
        bundle = self._bundle
        found = np.full((end - first, k), -1, dtype=np.int32)
        scores = np.full((end - first, k), -np.inf, dtype=np.float32)
        for place, user in enumerate(range(first, end)):
            items, confidence = bundle.interactions.of(UserRow(user))
            allowed = np.ones(len(bundle.items), dtype=np.bool_)
            allowed[items] = False
            best, values = self._scorer.top(bundle.user_factors[user], items[confidence > 0], k, allowed)
            found[place, : len(best)] = best
            scores[place, : len(best)] = values
        return Lists(found, scores)


def lister_of(bundle: Bundle) -> Lister:
    """What ranks as the bundle's kind does."""
    blend = bundle.manifest.blend
    if blend is None:
        return ByFactors(bundle)
    scorer = BlendScorer(
        bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, blend, bundle.spectrum
    )
    return ByBlend(bundle, scorer)


def all_lists(lister: Lister, first: int, end: int, k: int) -> Iterator[Lists]:
    """The lists of the users first..end-1 in their order, some at a time, made on all cores."""

    def stretch(start: int) -> Lists:
        return lister.lists(start, min(start + BLOCK_USERS, end), k)

    # A product on one thread for each core: two on all of them would wait for each other.
    with threadpool_limits(limits=1), ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(stretch, range(first, end, BLOCK_USERS))


def filled(bundle: Bundle, popular: Int32, lists: Lists, first: int) -> tuple[Lists, Int32]:
    """The lists with popular unseen items behind what the model has to say, and how many of each are the model's own;
    int32 (b,).

    `popular` int32 every item, the most popular first. As in the service the model has nothing to say to those who
    liked nothing, and a score of 0 or below is no preference.
    """
    n_users, k = lists.items.shape
    own = np.count_nonzero(lists.scores > 0, axis=1).astype(np.int32)
    own[~_liked_something(bundle.interactions, first, n_users)] = 0
    items, scores = lists.items.copy(), lists.scores.copy()
    for place in np.flatnonzero(own < k).tolist():
        count = int(own[place])
        allowed = np.ones(len(bundle.items), dtype=np.bool_)
        allowed[bundle.interactions.of(UserRow(first + place))[0]] = False
        allowed[items[place, :count]] = False
        rest = first_allowed(popular, k - count, allowed)
        items[place, count:] = -1
        scores[place, count:] = 0.0
        items[place, count : count + len(rest)] = rest
    return Lists(items, scores), own


def _liked_something(interactions: Interactions, first: int, count: int) -> Bool:
    places = interactions.indptr[first : first + count + 1]
    positive = np.concatenate([[0], np.cumsum(interactions.confidence[places[0] : places[-1]] > 0)])
    return np.asarray(np.diff(positive[places - places[0]]) > 0)
