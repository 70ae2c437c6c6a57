"""Ranking metrics per user, and what a list is worth beyond accuracy.

Every list-wise function takes `ranked`, int32 (m, k): row j holds the item rows recommended to the j-th user,
best first, -1 where the list is short. `test`, float32 CSR (m, n_items), has 1 for each held-out item of that
same user. Recommended items must be distinct within a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Bool, Float32, Float64, Int32, Int64

_LISTS_PER_BLOCK = 128
"""Lists whose summed user vectors are held at once by `diversity`: they fill in to almost dense rows."""


def hits(ranked: Int32, test: csr_matrix) -> Bool:
    """Which recommendations were held out; bool, the shape of `ranked`.

    Raises ValueError where the two do not have a row for each user.
    """
    n_users, n_items = test.shape
    if ranked.shape[0] != n_users:
        raise ValueError(f"{ranked.shape[0]} ranked lists for {n_users} rows of held-out items")
    test_users = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(test.indptr))
    wanted = np.sort(test_users * n_items + test.indices)
    if not len(wanted):
        return np.zeros(ranked.shape, dtype=np.bool_)
    keys = np.arange(n_users, dtype=np.int64)[:, None] * n_items + ranked
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    found: Bool = (wanted[at] == keys) & (ranked >= 0)
    return found


def accuracy(ranked: Int32, test: csr_matrix, ks: Sequence[int]) -> dict[str, Float32]:
    """Recall, NDCG, MAP and HR at each k, float32 (m,) each, named "recall@10" and so on.

    With h_r = 1 where the item at rank r (from 1) was held out, and T the number of the user's held-out
    items: recall = Σ h / T, not over min(k, T), as BARS does (Zhu et al., SIGIR 2022); NDCG = Σ h_r/log2(r +
    1) over its value for min(k, T) hits at the top (Järvelin & Kekäläinen, TOIS 2002); AP = Σ h_r·precision@r
    / T, truncated like trec_eval's map_cut; HR = whether there is a hit.

    Raises ValueError where a user has no held-out item (nothing is defined there), or a k exceeds the lists.
    """
    n_relevant = np.diff(test.indptr).astype(np.float64)
    if (n_relevant == 0).any():
        raise ValueError("every user measured needs a held-out item")
    if max(ks) > ranked.shape[1]:
        raise ValueError(f"lists of {ranked.shape[1]} cannot be measured at {max(ks)}")
    hit = hits(ranked, test).astype(np.float64)
    ranks = np.arange(1, ranked.shape[1] + 1)
    discount = 1 / np.log2(ranks + 1)
    n_hits = np.cumsum(hit, axis=1)
    gain = np.cumsum(hit * discount, axis=1)
    precision_sum = np.cumsum(hit * n_hits / ranks, axis=1)
    ideal = np.cumsum(discount)

    metrics: dict[str, Float32] = {}
    for k in ks:
        best = ideal[np.minimum(n_relevant, k).astype(np.int64) - 1]
        metrics[f"recall@{k}"] = (n_hits[:, k - 1] / n_relevant).astype(np.float32)
        metrics[f"ndcg@{k}"] = (gain[:, k - 1] / best).astype(np.float32)
        metrics[f"map@{k}"] = (precision_sum[:, k - 1] / n_relevant).astype(np.float32)
        metrics[f"hr@{k}"] = (n_hits[:, k - 1] > 0).astype(np.float32)
    return metrics


def sampled(scores: Float32, items: Int32, k: int) -> tuple[Float32, Float32]:
    """HR@k and NDCG@k of one held-out item among given negatives; float32 (m,) each (He et al., WWW 2017).

    `scores` float32 and `items` int32, both (m, 1 + n_negatives), the held-out item in column 0. Its rank is
    1 + the negatives that score strictly higher + half of those that score the same: the mean over the orders
    a tie may take, so a constant score earns nothing. Negatives that are the held-out item itself (the
    published MovieLens file has 156) keep their place and never outrank it, as in the authors' own
    evaluation. NDCG is 1/log2(rank + 1) within the top k, else 0.

    Raises ValueError on a NaN score: a comparison with it would rank the held-out item first.
    """
    if np.isnan(scores).any():
        raise ValueError("scores to rank by contain NaN")
    positive, negatives = scores[:, :1], scores[:, 1:]
    higher = (negatives > positive).sum(axis=1)
    tied = ((negatives == positive) & (items[:, 1:] != items[:, :1])).sum(axis=1)
    rank = 1 + higher + tied / 2
    inside = rank <= k
    return inside.astype(np.float32), np.where(inside, 1 / np.log2(rank + 1), 0).astype(np.float32)


def recommended_counts(ranked: Int32, n_items: int) -> Int64:
    """How many of the lists hold each item; int64 (n_items,)."""
    return np.bincount(ranked[ranked >= 0], minlength=n_items).astype(np.int64)


def coverage(ranked: Int32, n_items: int) -> float:
    """Share of the catalogue that is in at least one list, 0..1."""
    return float(np.count_nonzero(recommended_counts(ranked, n_items))) / n_items if n_items else 0.0


def novelty(ranked: Int32, holders: npt.NDArray[np.integer], n_users: int) -> float:
    """Mean over the lists of the mean self-information of their items, in bits.

    -log2(share of training users who have the item): Zhou et al., PNAS 2010; Castells, Hurley & Vargas,
    Recommender Systems Handbook (2nd ed., ch. 26). `holders` integers (n_items,): the training users of each
    item; `n_users` those with any. An item that nobody has counts as if one user had it. Empty lists are left
    out; 0 where there is none.
    """
    share = np.maximum(holders, 1) / max(n_users, 1)
    bits = -np.log2(np.minimum(share, 1))
    filled = ranked >= 0
    length = filled.sum(axis=1)
    if not length.any():
        return 0.0
    total = np.where(filled, bits[ranked], 0).sum(axis=1)
    return float((total[length > 0] / length[length > 0]).mean())


def diversity(ranked: Int32, vectors: csr_matrix) -> float:
    """Mean over the lists of the mean pairwise 1 - cosine of their items, 0..1 (Ziegler et al., WWW 2005).

    `vectors` float32 CSR (n_items, n_users): row i is the training users of item i scaled to length 1, as
    `user_vectors` gives them. An item nobody has is unlike every other. Lists of fewer than two items are
    left out; 0 where there is no other.
    """
    dissimilarity = [_list_diversity(block, vectors) for block in _blocks(ranked)]
    values = np.concatenate(dissimilarity) if dissimilarity else np.empty(0)
    return float(values.mean()) if len(values) else 0.0


def user_vectors(train: csr_matrix) -> csr_matrix:
    """The users who prefer each item, scaled to length 1; float32 CSR (n_items, n_users).

    Only positive entries of `train` (users × items, signed confidence) count, each as 1.
    """
    by_item = positives(train).T.tocsr()
    n_holders = np.diff(by_item.indptr)
    by_item.data = np.repeat(1 / np.sqrt(np.maximum(n_holders, 1)), n_holders).astype(np.float32)
    return by_item


def positives(train: csr_matrix) -> csr_matrix:
    """The positive entries of a signed matrix, each as 1; float32 CSR of the same shape, sorted indices."""
    binary = csr_matrix(train, dtype=np.float32, copy=True)
    binary.data = (train.data > 0).astype(np.float32)
    binary.eliminate_zeros()
    binary.sort_indices()
    return binary


def _blocks(ranked: Int32) -> Iterator[Int32]:
    lists = ranked[(ranked >= 0).sum(axis=1) > 1]
    for start in range(0, len(lists), _LISTS_PER_BLOCK):
        yield lists[start : start + _LISTS_PER_BLOCK]


def _list_diversity(lists: Int32, vectors: csr_matrix) -> Float64:
    """1 - mean cosine of each list; float64 (len(lists),). Every list has two items or more.

    The cosines of all ordered pairs, each item with itself included, add up to |Σ v|².
    """
    filled = lists >= 0
    length = filled.sum(axis=1)
    indptr = np.concatenate(([0], np.cumsum(length)))
    members = csr_matrix(
        (np.ones(int(indptr[-1]), dtype=np.float32), lists[filled], indptr),
        shape=(len(lists), vectors.shape[0]),
    )
    summed = (members @ vectors).tocsr()
    with_itself = np.asarray(members @ (np.diff(vectors.indptr) > 0)).ravel().astype(np.float64)
    squares = np.asarray(summed.multiply(summed).sum(axis=1)).ravel().astype(np.float64)
    mean_cosine: Float64 = (squares - with_itself) / (length * (length - 1))
    return 1 - mean_cosine
