"""Retrieval of the best items for a vector, by inner product or by cosine."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from recsvc.bundle.types import Bool, Float32, Int32


def top_items(index: Any, vector: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
    """The best items by inner product: (rows int32, scores float32), best first.

    `vector` float32 (n_factors,); `allowed` bool (n_items,) or None for all. Fewer than `k` come back only when
    fewer are allowed (with an exact index).
    """
    wanted = min(k, index.ntotal if allowed is None else int(np.count_nonzero(allowed)))
    if wanted == 0:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    query = np.ascontiguousarray(vector, dtype=np.float32)[None, :]
    if allowed is None:
        scores, rows = index.search(query, wanted)
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
    norms = np.sqrt(np.einsum("ij,ij->i", factors, factors))
    if norms[row] == 0:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    cosines = (factors @ factors[row]) / np.maximum(norms * norms[row], np.finfo(np.float32).tiny)
    cosines[norms == 0] = -np.inf
    cosines[row] = -np.inf
    k = min(k, len(factors) - 1)
    best = np.argpartition(-cosines, k)[:k] if k < len(factors) else np.arange(len(factors))
    best = best[np.argsort(-cosines[best], kind="stable")]
    best = best[np.isfinite(cosines[best])]
    return best.astype(np.int32), cosines[best].astype(np.float32)
