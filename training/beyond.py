"""What lists are worth beyond accuracy: how they treat what is popular, and whether they keep a user's proportions.

`ranked` is int32 (m, k) as in `training.metrics`: row j holds the items recommended to the j-th user, -1 where the list
is short. `history`, CSR (m, n_items), has 1 for each item of the training part that the same user prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float64, Int32, Int64

_SMOOTHING: Final = 0.01
"""α of q̃ = (1 − α)·q + α·p, the value Steck uses."""


def popularity_percentile(holders: npt.NDArray[np.integer]) -> Float64:
    """Where each item stands in popularity: the share of all training pairs that are with less popular items, 0..1.

    Pairs with items as popular as this one count half, so that a pair drawn at random stands at 0.5 on average. Counted
    in pairs, not in items: most of a catalogue has next to no users, and what anybody meets would all be at its top.
    `holders` integers (n_items,), the training users of each item. Returns float64 (n_items,); 0 without pairs.
    """
    levels, level_of = np.unique(holders, return_inverse=True)
    pairs = np.bincount(level_of, weights=holders, minlength=len(levels))
    below = np.cumsum(pairs) - pairs / 2
    places: Float64 = below[level_of] / max(float(pairs.sum()), 1.0)
    return places


def popularity_lift(ranked: Int32, history: csr_matrix, percentile: Float64) -> float:
    """By how much lists are more popular than what their users chose themselves; mean over users, -1..1.

    The mean percentile of a list minus that of the user's history, as the popularity lift of Abdollahpouri et al.
    (UMAP 2021), in percentiles, which a single blockbuster cannot carry. 0: as popular as the history. Users without
    history or list are left out; 0 where there is no other.
    """
    ours, length = _totals(_members(ranked, history.shape[1]), percentile)
    own, n_own = _totals(history, percentile)
    both = (length > 0) & (n_own > 0)
    return float((ours[both] / length[both] - own[both] / n_own[both]).mean()) if both.any() else 0.0


def gini(recommended: Int64) -> float:
    """The Gini index of exposure: 0 when every item is in as many lists, towards 1 when few items are in all of them.

    `recommended` int64 (n_items,), how many lists hold each item, as `metrics.recommended_counts` gives it; items in no
    list count too. Σⱼ (2j − n − 1)·c₍ⱼ₎ / (n·Σc), c ascending, j from 1 (Castells, Hurley & Vargas, Recommender Systems
    Handbook, 2nd ed., ch. 26). 0 where nothing was recommended.
    """
    counts = np.sort(recommended).astype(np.float64)
    total, n = counts.sum(), len(counts)
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total))


def category_shares(categories: Sequence[Sequence[str]]) -> csr_matrix | None:
    """p(g|i): each category of an item has an equal share of it; float64 CSR (n_items, n_categories).

    None where no item has a category.
    """
    codes = {name: code for code, name in enumerate(sorted({name for names in categories for name in names}))}
    if not codes:
        return None
    distinct = [sorted({codes[name] for name in names}) for names in categories]
    sizes = np.array([len(row) for row in distinct])
    indices = np.array([code for row in distinct for code in row], dtype=np.int32)
    shares = np.repeat(1 / np.maximum(sizes, 1), sizes)
    return csr_matrix((shares, indices, np.concatenate(([0], np.cumsum(sizes)))), shape=(len(sizes), len(codes)))


def miscalibration(ranked: Int32, history: csr_matrix, shares: csr_matrix) -> float:
    """How far the categories of lists are from those of their users' histories; mean over users, 0: the same.

    KL(p ‖ q̃) = Σ_g p(g|u) · ln(p(g|u) / q̃(g|u)), in nats, with q̃ = (1 − α)·q + α·p and α = 0.01: Steck, "Calibrated
    recommendations", RecSys 2018, equations 2, 3 and 6, every item of history and list counting 1. p over the
    history, q over the list, of the items whose categories are known (`shares` as `category_shares` gives them). A
    user for whom one of the two is empty is left out; 0 where there is no other. At most −ln α = 4.61.
    """
    p, has_p = _distribution(history @ shares)
    q, has_q = _distribution(_members(ranked, history.shape[1]) @ shares)
    both = np.flatnonzero(has_p & has_q)
    if not len(both):
        return 0.0
    wanted = p[both].tocoo()
    listed = np.asarray(q[both][wanted.row, wanted.col]).ravel()
    smooth = (1 - _SMOOTHING) * listed + _SMOOTHING * wanted.data
    return float((wanted.data * np.log(wanted.data / smooth)).sum() / len(both))


def _members(ranked: Int32, n_items: int) -> csr_matrix:
    """The lists as a matrix: float64 CSR (m, n_items), 1 for each recommended item."""
    filled = ranked >= 0
    indptr = np.concatenate(([0], np.cumsum(filled.sum(axis=1))))
    return csr_matrix((np.ones(int(indptr[-1])), ranked[filled], indptr), shape=(len(ranked), n_items))


def _totals(sets: csr_matrix, values: Float64) -> tuple[Float64, Int64]:
    """Per row the sum of its items' values, and how many items it has."""
    return np.asarray(sets @ values, dtype=np.float64).ravel(), np.diff(sets.indptr).astype(np.int64)


def _distribution(weights: csr_matrix) -> tuple[csr_matrix, npt.NDArray[np.bool_]]:
    """The rows scaled to a sum of 1, and which have one."""
    scaled = csr_matrix(weights, dtype=np.float64)
    total = np.asarray(scaled.sum(axis=1)).ravel()
    scaled.data /= np.repeat(total, np.diff(scaled.indptr))
    return scaled, total > 0
