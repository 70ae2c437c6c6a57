"""Retrieval of the best items for a vector, by inner product or by cosine."""

from __future__ import annotations

from typing import Any, Final

import faiss
import numpy as np

from recsvc.bundle.types import Bool, Float32, Int32

_FEW: Final = 300
"""Items that may not come, so many at most, are searched along with the others and dropped."""


def top_items(index: Any, vector: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
    """The best items by inner product: (rows int32, scores float32), best first.

    `vector` float32 (n_factors,); `allowed` bool (n_items,) or None for all. Fewer than `k` come back only when
    fewer are allowed (with an exact index).
    """
    left_out = 0 if allowed is None else index.ntotal - int(np.count_nonzero(allowed))
    wanted = min(k, index.ntotal - left_out)
    if wanted == 0:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    query = np.ascontiguousarray(vector, dtype=np.float32)[None, :]
    if allowed is None or left_out <= _FEW:
        # To look at a few more takes less than to ask of each item whether it may come.
        scores, rows = index.search(query, wanted + left_out)
        if allowed is not None:
            may_come = allowed[rows[0]] & (rows[0] >= 0)
            scores, rows = scores[:, may_come][:, :wanted], rows[:, may_come][:, :wanted]
    else:
        # The selector only points at the bitmap: both names must live until the search is over.
        bitmap = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(bitmap)
        scores, rows = index.search(query, wanted, params=faiss.SearchParameters(sel=selector))
    found = rows[0] >= 0
    return rows[0][found].astype(np.int32), scores[0][found]


def most_similar(factors: Float32, row: int, k: int) -> tuple[Int32, Float32]:
    """The nearest rows of a factor matrix by cosine, without `row` itself: (rows int32, cosines float32).

    `factors` float32 (n, n_factors). Rows of zero length (never interacted with) are similar to nothing.
    """
    others = np.ones(len(factors), dtype=np.bool_)
    others[row] = False
    return nearest(factors, factors[row], k, others)


def nearest(factors: Float32, vector: Float32, k: int, allowed: Bool) -> tuple[Int32, Float32]:
    """The allowed rows nearest to a vector by cosine, best first: (rows int32, cosines float32).

    `factors` float32 (n, n_factors), `vector` float32 (n_factors,), `allowed` bool (n,). What has no length is similar
    to nothing.
    """
    found = cosines(factors, vector)
    found[~allowed] = np.nan
    best = best_places(np.nan_to_num(found, nan=-np.inf), k)
    best = best[~np.isnan(found[best])]
    return best.astype(np.int32), found[best]


def cosines(factors: Float32, vector: Float32) -> Float32:
    """The cosine of each row with a vector, NaN where one of the two has no length; float32 (n,)."""
    lengths = np.sqrt(np.einsum("ij,ij->i", factors, factors)) * np.sqrt(vector @ vector)
    found: Float32 = np.full(len(factors), np.nan, dtype=np.float32)
    np.divide(factors @ vector, lengths, out=found, where=lengths > 0)
    return found


def best_places(values: Float32, k: int) -> Int32:
    """The places of the k largest values, or of all where there are no more, largest first; int32."""
    best = np.argpartition(-values, k)[:k] if k < len(values) else np.arange(len(values))
    return best[np.argsort(-values[best], kind="stable")].astype(np.int32)
