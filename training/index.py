"""The nearest-neighbour index, and what it gives against exact search."""

from __future__ import annotations

import time
from typing import Any

import faiss
import numpy as np

from recsvc.bundle.manifest import IndexSummary
from recsvc.bundle.types import Float32
from recsvc.scoring.retrieval import top_items


def build_index(item_factors: Float32) -> Any:
    """An exact inner-product index (`IndexFlatIP`): fast enough to well past 100,000 items, and always right."""
    index = faiss.IndexFlatIP(item_factors.shape[1])
    index.add(np.ascontiguousarray(item_factors))
    return index


def measure_index(index: Any, item_factors: Float32, user_factors: Float32, *, seed: int) -> IndexSummary:
    """Recall@100 and the median time of one search, on up to 200 real user vectors, one thread.

    The oracle is the sorted NumPy product; an item whose exact score ties the hundredth counts as found.
    """
    active = np.flatnonzero(np.any(user_factors != 0, axis=1))
    if len(active) == 0:
        active = np.arange(len(user_factors))
    chosen = np.random.default_rng(seed).choice(active, size=min(200, len(active)), replace=False)
    k = min(100, len(item_factors))
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    recalls, milliseconds = [], []
    try:
        for row in chosen:
            started = time.perf_counter()
            found, _ = top_items(index, user_factors[row], k)
            milliseconds.append((time.perf_counter() - started) * 1e3)
            exact = item_factors @ user_factors[row]
            hundredth = np.partition(exact, -k)[-k]
            slack = 1e-5 * max(abs(float(hundredth)), 1e-6)
            recalls.append(float((exact[found] >= hundredth - slack).sum()) / k)
    finally:
        faiss.omp_set_num_threads(threads)
    return IndexSummary(
        kind=type(index).__name__,
        exact=isinstance(index, faiss.IndexFlat),
        recall_at_100=min(1.0, float(np.mean(recalls))),
        queries=len(chosen),
        search_ms_median=round(float(np.median(milliseconds)), 4),
    )
