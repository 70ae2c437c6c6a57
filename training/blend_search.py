"""Choosing the weights of a blend for one group of users: what is offered to them, and the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack

from recsvc.bundle.manifest import COMPONENTS, Component
from recsvc.bundle.types import Float32, Float64, Int32, Spectrum
from recsvc.scoring.blend import FACTORS, NEIGHBOURS, POPULARITY, SPECTRUM
from training import metrics
from training.rankers import best

_OFFERED: Final = 200
"""Items that each component offers: enough for lists of 20, and half of what serving takes."""
_SCORES_PER_BLOCK: Final = 4_000_000
_FIRST_FACTOR, _LAST_FACTOR = 4.0, 1.05
"""Of the search: what a share is multiplied and divided by, at first and where it ends."""
_LEAST_SHARE: Final = 0.01
"""A share of 0 grows from here."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What the components offer to a group of m users, and what they think of all that is offered.

    `items` int32 (m, c) candidates, -1 where there is none; `scores` float32 (4, m, c) by component, in the order of
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
        """How far apart each component's scores are: the mean over users of their standard deviation; float64 (4,)."""
        there = self.items >= 0
        n = np.maximum(there.sum(axis=1), 1)
        centred = np.where(there, self.scores - (np.where(there, self.scores, 0).sum(axis=2) / n)[:, :, None], 0)
        spread = np.sqrt((centred.astype(np.float64) ** 2).sum(axis=2) / n)
        return np.asarray(spread.mean(axis=1), dtype=np.float64)

    def measured(self, weights: Float64, metric: str) -> Float32:
        """A metric ("ndcg@10") of each user's blended list; float32 (m,).

        `weights` float64 (4,) for everybody, or (m, 4).
        """
        k = int(metric.partition("@")[2])
        by_user = np.broadcast_to(weights.astype(np.float32), (len(self), len(COMPONENTS)))
        blended = np.einsum("uc,cui->ui", by_user, self.scores)
        # Without factors and popularity neighbours offer only what they speak for, in serving too.
        others = (by_user[:, FACTORS] + by_user[:, POPULARITY] > 0) | (by_user[:, NEIGHBOURS] == 0)
        there = (self.items >= 0) & (others[:, None] | (self.scores[NEIGHBOURS] > 0))
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
    spectrum: Spectrum | None,
    seen: csr_matrix,
    test: csr_matrix,
    components: Sequence[Component],
) -> Offers:
    """The unseen items that are among the first 200 of any of the `components`, with the scores of those components.

    As in serving, neighbours offer only what they speak for, and the spectrum only where it is alone.

    For m users: `vectors` float32 (m, n_factors); `item_factors` float32 (n_items, n_factors); `histories`, `seen` and
    `test` CSR (m, n_items), 1 for each item; `weights` CSR (n_items, n_items) by history item, None without neighbours;
    `popularity` float32 (n_items,) in 0..1; `spectrum` None without one. The score of a component that does not take
    part is 0.
    """
    n_users, n_items = histories.shape
    width = min(_OFFERED, n_items)
    items = np.full((n_users, width * len(components)), -1, dtype=np.int32)
    scores = np.zeros((len(COMPONENTS), *items.shape), dtype=np.float32)
    size = max(1, _SCORES_PER_BLOCK // n_items)
    encoder = None if spectrum is None else spectrum.vectors / spectrum.scale[:, None]
    for low in range(0, n_users, size):
        block = slice(low, min(low + size, n_users))
        dense: dict[int, Float32] = {}
        if "factors" in components:
            dense[FACTORS] = vectors[block] @ item_factors.T
        if "neighbours" in components and weights is not None:
            dense[NEIGHBOURS] = (histories[block] @ weights).toarray()
        if "popularity" in components:
            dense[POPULARITY] = np.broadcast_to(popularity, (block.stop - low, n_items))
        if "spectrum" in components and spectrum is not None and encoder is not None:
            encoded = histories[block] @ encoder
            encoded /= np.sqrt(np.maximum(np.diff(histories[block].indptr), 1))[:, None]
            dense[SPECTRUM] = ((encoded @ spectrum.vectors.T) * spectrum.scale).astype(np.float32)
        hidden = seen[block].toarray() > 0
        offered = [
            best(np.where(hidden | ((found <= 0) & (code == NEIGHBOURS)), -np.inf, found).astype(np.float32), width)
            for code, found in dense.items()
            if code != SPECTRUM or len(dense) == 1
        ]
        union = _distinct(np.concatenate(offered, axis=1))
        items[block, : union.shape[1]] = union
        for code, found in dense.items():
            scores[code, block, : union.shape[1]] = np.take_along_axis(found, np.maximum(union, 0), axis=1)
    return Offers(items, scores, test)


def best_shares(value: Callable[[Float64], float], components: Sequence[Component], trials: int) -> Float64:
    """The shares of the components, summing to 1, with the highest value found in at most so many trials; float64 (4,).

    Of each component alone and of all alike the best; from there by compass search (Kolda, Lewis & Torczon, SIAM
    Review 45(3), 2003) on the logarithms: one share after another is multiplied and divided by a factor that gets
    smaller where nothing helps. A metric of ranks has steps but no slopes to follow. Of equal values the first found
    stays, so that a component is added only where it helps.
    """
    places = [COMPONENTS.index(name) for name in components]
    tried = [_shares(places, alone) for alone in np.eye(len(places))] + [_shares(places, np.ones(len(places)))]
    values = [value(shares) for shares in tried]
    chosen, highest = tried[int(np.argmax(values))], max(values)
    left, factor = trials - len(tried), _FIRST_FACTOR
    while factor > _LAST_FACTOR:
        before = highest
        for place, step in product(places, (factor, 1 / factor)):
            if left <= 0:
                return chosen
            near = chosen.copy()
            near[place] = max(near[place], _LEAST_SHARE) * step
            near /= near.sum()
            found, left = value(near), left - 1
            if found > highest:
                chosen, highest = near, found
        if highest <= before:
            factor = np.sqrt(factor)
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
