"""Choosing the weights of a blend for one group of users: what is offered to them, and the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack

from recsvc.bundle.manifest import COMPONENTS, Component
from recsvc.bundle.types import Float32, Float64, Int32
from recsvc.scoring.blend import FACTORS, NEIGHBOURS, POPULARITY
from training import metrics
from training.rankers import best

_OFFERED: Final = 200
"""Items that each component offers: enough for lists of 20, and half of what serving takes."""
_SCORES_PER_BLOCK: Final = 4_000_000
_LOCAL_SHARE: Final = 1 / 3
_FIRST_STEP, _LAST_STEP = 0.7, 0.1
"""Of the local search, as the standard deviation of the logarithm of a weight."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What the components offer to a group of m users, and what they think of all that is offered.

    `items` int32 (m, c) candidates, -1 where there is none; `scores` float32 (3, m, c) by component, in the order of
    COMPONENTS, raw; `test` CSR (m, n_items) what the users are to find.
    """

    items: Int32
    scores: Float32
    test: csr_matrix

    def __len__(self) -> int:
        return len(self.items)

    def of(self, chosen: npt.NDArray[np.integer]) -> Offers:
        """The same for some of the users, by their places."""
        return Offers(self.items[chosen], self.scores[:, chosen], csr_matrix(self.test[chosen]))

    def scale(self) -> Float64:
        """How far apart each component's scores are: the mean over users of their standard deviation; float64 (3,)."""
        there = self.items >= 0
        n = np.maximum(there.sum(axis=1), 1)
        centred = np.where(there, self.scores - (np.where(there, self.scores, 0).sum(axis=2) / n)[:, :, None], 0)
        spread = np.sqrt((centred.astype(np.float64) ** 2).sum(axis=2) / n)
        return np.asarray(spread.mean(axis=1), dtype=np.float64)

    def measured(self, weights: Float64, metric: str) -> Float32:
        """A metric ("ndcg@10") of each user's blended list; float32 (m,).

        `weights` float64 (3,) for everybody, or (m, 3).
        """
        k = int(metric.partition("@")[2])
        by_user = np.broadcast_to(weights.astype(np.float32), (len(self), len(COMPONENTS)))
        blended = np.einsum("uc,cui->ui", by_user, self.scores)
        # Neighbours alone offer only what they speak for, in serving too.
        others = (by_user[:, FACTORS] + by_user[:, POPULARITY] > 0)[:, None]
        there = (self.items >= 0) & (others | (blended > 0))
        places = best(np.where(there, blended, -np.inf).astype(np.float32), k)
        ranked = np.where(places >= 0, np.take_along_axis(self.items, np.maximum(places, 0), axis=1), -1)
        return metrics.accuracy(ranked.astype(np.int32), self.test, (k,))[metric]


def joined(parts: Sequence[Offers]) -> Offers:
    """Several groups of users as one, of the same catalogue and components."""
    return Offers(
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.scores for part in parts], axis=1),
        csr_matrix(vstack([part.test for part in parts])),
    )


def offers_of(
    vectors: Float32,
    item_factors: Float32,
    histories: csr_matrix,
    weights: csr_matrix | None,
    popularity: Float32,
    seen: csr_matrix,
    test: csr_matrix,
    components: Sequence[Component],
) -> Offers:
    """The unseen items that are among the first 200 of any of the `components`, with the scores of those components.

    For m users: `vectors` float32 (m, n_factors); `item_factors` float32 (n_items, n_factors); `histories`, `seen` and
    `test` CSR (m, n_items), 1 for each item; `weights` CSR (n_items, n_items) by history item, None without neighbours;
    `popularity` float32 (n_items,) in 0..1. The score of a component that does not take part is 0.
    """
    n_users, n_items = histories.shape
    width = min(_OFFERED, n_items)
    items = np.full((n_users, width * len(components)), -1, dtype=np.int32)
    scores = np.zeros((len(COMPONENTS), *items.shape), dtype=np.float32)
    size = max(1, _SCORES_PER_BLOCK // n_items)
    for low in range(0, n_users, size):
        block = slice(low, min(low + size, n_users))
        dense: dict[int, Float32] = {}
        if "factors" in components:
            dense[FACTORS] = vectors[block] @ item_factors.T
        if "neighbours" in components and weights is not None:
            dense[NEIGHBOURS] = (histories[block] @ weights).toarray()
        if "popularity" in components:
            dense[POPULARITY] = np.broadcast_to(popularity, (block.stop - low, n_items))
        hidden = seen[block].toarray() > 0
        offered = [
            # As in serving, what no neighbour speaks for is not offered by neighbours.
            best(np.where(hidden | ((found <= 0) & (code == NEIGHBOURS)), -np.inf, found).astype(np.float32), width)
            for code, found in dense.items()
        ]
        union = _distinct(np.concatenate(offered, axis=1))
        items[block, : union.shape[1]] = union
        for code, found in dense.items():
            scores[code, block, : union.shape[1]] = np.take_along_axis(found, np.maximum(union, 0), axis=1)
    return Offers(items, scores, test)


def best_shares(
    value: Callable[[Float64], float], components: Sequence[Component], trials: int, rng: np.random.Generator
) -> Float64:
    """The shares of the components, summing to 1, with the highest value found; float64 (3,).

    First each component alone and all alike, then shares at random, evenly over all that there are; the last third of
    the trials are steps from the best so far, ever smaller. Of equal values the first found stays, so that a component
    is added only where it helps.
    """
    places = [COMPONENTS.index(name) for name in components]
    tried = [_shares(places, np.eye(len(places))[i]) for i in range(len(places))]
    tried.append(_shares(places, np.ones(len(places))))
    n_local = int(trials * _LOCAL_SHARE)
    tried += [_shares(places, rng.exponential(size=len(places))) for _ in range(trials - n_local - len(tried))]
    values = [value(shares) for shares in tried]
    chosen, highest = tried[int(np.argmax(values))], max(values)
    for step in np.geomspace(_FIRST_STEP, _LAST_STEP, n_local):
        # A share of 0 can grow again.
        near = np.maximum(chosen[places], 0.01) * np.exp(step * rng.standard_normal(len(places)))
        found = value(_shares(places, near))
        if found > highest:
            chosen, highest = _shares(places, near), found
    return chosen


def _shares(places: list[int], raw: Float64) -> Float64:
    shares = np.zeros(len(COMPONENTS))
    shares[places] = raw / raw.sum()
    return shares


def _distinct(items: Int32) -> Int32:
    """Each row sorted, with -1 in place of repeats."""
    ordered = np.sort(items, axis=1)
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = -1
    return ordered
