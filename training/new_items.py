"""How fast a new item finds those who like it: by its metadata alone, then by the feedback of its first few users."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32, Int32
from training import metrics
from training.als import exact_users
from training.cold_start import HeldOutItems, hold_items_out
from training.compare import PairedComparison, paired
from training.config import RunConfig
from training.content import category_popularity, features_of
from training.rankers import best
from training.sources.dataset import ItemColumns

FEEDBACK: Final = (0, 1, 2, 3, 5, 10)
"""After the feedback of how many users an item is measured; after none by its metadata."""
_LEAST_ITEMS: Final = 5
_K: Final = 10


@dataclass(frozen=True, slots=True)
class NewItems:
    """`steps[m]` category popularity against the item's vector after m users, NDCG@10 over the same `n_users` users,
    who are to find their own among `n_items` new items; `chance` that of a random order."""

    n_items: int
    n_users: int
    chance: float
    steps: dict[int, PairedComparison]


@dataclass(frozen=True, slots=True)
class _Dealt:
    """The pairs with the new items: `given` CSR (n_items, n_users), confidence of the first ten users of each item,
    with `places` int64 (nnz,), 0 for an item's first; of the others `users` int32, and `taken` CSR (len(users),
    n_items)."""

    given: csr_matrix
    places: np.ndarray[tuple[int], np.dtype[np.int64]]
    users: Int32
    taken: csr_matrix


def measure_new_items(train: csr_matrix, columns: ItemColumns, config: RunConfig) -> NewItems | None:
    """Withholds items as `training.cold_start` does, and gives them back the feedback of a few users.

    `train` float32 users × items, signed confidence. Of the items to report on, those with more than ten users are
    taken. Ten users of each, drawn by the seed of the settings, give it their feedback one after another; the vector
    is solved from theirs by the half-step of ALS for items. All other users who have some of the items are to find
    them first, the same users and items whatever the number of users that gave feedback. Before any, the item has the
    vector of the map from metadata, λ chosen on other items. None without metadata, or with fewer than five such items.
    """
    features = features_of(columns, config.content.minimum_items)
    held_out = None if features is None else hold_items_out(train, features, config)
    if features is None or held_out is None:
        return None
    warm = np.abs(held_out.factors.users).sum(axis=1) > 0
    n_holders = np.bincount(metrics.positives(train)[np.flatnonzero(warm)].indices, minlength=train.shape[1])
    items = held_out.reporting.items[n_holders[held_out.reporting.items] > FEEDBACK[-1]]
    if len(items) < _LEAST_ITEMS:
        return None
    dealt = _dealt(train, items, np.flatnonzero(warm).astype(np.int32), config.als.seed)
    popular = category_popularity(features, held_out.users, items)
    rng = np.random.default_rng(config.als.seed)
    shape = dealt.taken.shape
    baseline = _ndcg(np.broadcast_to(popular, shape), dealt)
    steps = {
        m: paired(baseline, _ndcg(_scores(held_out, dealt, items, m, config), dealt), seed=config.als.seed)
        for m in FEEDBACK
    }
    chance = float(_ndcg(rng.random(shape), dealt).mean(dtype=np.float64))
    return NewItems(len(items), len(dealt.users), chance, steps)


def _dealt(train: csr_matrix, items: Int32, warm: Int32, seed: int) -> _Dealt:
    """Draws the users that give feedback; `warm` the rows of users that the fit without the items knows."""
    by_item = csr_matrix(train[:, items].T)
    by_item.data[(by_item.data <= 0) | ~np.isin(by_item.indices, warm)] = 0.0
    by_item.eliminate_zeros()
    rng = np.random.default_rng(seed)
    places = np.concatenate([rng.permutation(high - low) for low, high in pairwise(by_item.indptr.tolist())])
    gives = places < FEEDBACK[-1]
    given, asked = by_item.copy(), by_item.copy()
    given.data[~gives] = 0.0
    given.eliminate_zeros()
    asked.data = np.where(gives, 0.0, 1.0).astype(np.float32)
    asked.eliminate_zeros()
    taken = csr_matrix(asked.T)
    users = np.flatnonzero(np.diff(taken.indptr)).astype(np.int32)
    return _Dealt(given, places[gives], users, csr_matrix(taken[users]))


def _scores(held_out: HeldOutItems, dealt: _Dealt, items: Int32, n_users: int, config: RunConfig) -> Float32:
    """What each user asked is given for each item after the feedback of so many users; float32 (users, items)."""
    if n_users == 0:
        vectors = held_out.vectors(items, held_out.best_regularization(config))
    else:
        feedback = dealt.given.copy()
        feedback.data[dealt.places >= n_users] = 0.0
        feedback.eliminate_zeros()
        vectors = exact_users(
            feedback, held_out.factors.users, config.als.regularization, config.als.frequency_exponent
        ).users
    scores: Float32 = held_out.factors.users[dealt.users] @ vectors.T
    return scores


def _ndcg(scores: np.ndarray[tuple[int, int], np.dtype[np.floating]], dealt: _Dealt) -> Float32:
    """NDCG@10 of each user asked, among the items they did not give feedback on."""
    ranked = np.array(scores, dtype=np.float32)
    gave = csr_matrix(dealt.given.T)[dealt.users]
    ranked[np.repeat(np.arange(len(ranked)), np.diff(gave.indptr)), gave.indices] = -np.inf
    return metrics.accuracy(best(ranked, _K), dealt.taken, (_K,))[f"ndcg@{_K}"]
