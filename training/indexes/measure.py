"""What an index gives against exact search, and how long it takes, on real user vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass

import faiss
import numpy as np

from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import IndexPoint
from recsvc.bundle.types import Float32
from recsvc.scoring.retrieval import top_items

_QUERIES = 200
_LENGTH = 100
_TIMED = 3
"""Each search is timed so often and the shortest counts: a neighbour's work is not the index's."""


@dataclass(frozen=True, slots=True)
class Probe:
    """`queries` float32 (q, n_factors) real user vectors; `least` float32 (q,) what an item has to score to be among
    the best 100 of a query, by the NumPy product over `vectors`: an item that ties the hundredth counts as found."""

    vectors: Float32
    queries: Float32
    least: Float32

    @classmethod
    def of(cls, item_factors: Float32, user_factors: Float32, *, seed: int) -> Probe:
        """Up to 200 users with a vector, at random."""
        active = np.flatnonzero(np.any(user_factors != 0, axis=1))
        if len(active) == 0:
            active = np.arange(len(user_factors))
        chosen = np.random.default_rng(seed).choice(active, size=min(_QUERIES, len(active)), replace=False)
        queries = np.asarray(user_factors[chosen])
        k = min(_LENGTH, len(item_factors))
        hundredth = np.array([np.partition(item_factors @ query, -k)[-k] for query in queries])
        slack = 1e-5 * np.maximum(np.abs(hundredth), 1e-6)
        return cls(item_factors, queries, (hundredth - slack).astype(np.float32))

    def measure(self, index: ItemIndex, kind: str, setting: str = "") -> IndexPoint:
        """Recall@100 and the time of a search, as the service searches: on one thread."""
        k = min(_LENGTH, len(self.vectors))
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        recalls, milliseconds = [], []
        try:
            for query, least in zip(self.queries, self.least, strict=True):
                taken = []
                for _ in range(_TIMED):
                    started = time.perf_counter()
                    found, _ = top_items(index, query, k)
                    taken.append((time.perf_counter() - started) * 1e3)
                milliseconds.append(min(taken))
                recalls.append(float((self.vectors[found] @ query >= least).sum()) / k)
        finally:
            faiss.omp_set_num_threads(threads)
        return IndexPoint(
            kind=kind,
            setting=setting,
            recall_at_100=min(1.0, float(np.mean(recalls))),
            search_ms_median=round(float(np.median(milliseconds)), 4),
            search_ms_p99=round(float(np.percentile(milliseconds, 99)), 4),
        )
