"""Exact retrieval through `top_items`, against the bare FAISS call."""

from __future__ import annotations

import faiss
import numpy as np

from recsvc.scoring.retrieval import top_items
from tests.bench.measurement import Context, Measurement, of_samples, per_call_microseconds, ratio_of_medians
from training.index import build_index

_ITEMS, _FACTORS, _K = 41_000, 128, 200


def measure(context: Context) -> list[Measurement]:
    """The best 200 of 41,000 items at 128 dimensions, all allowed, on one thread as a worker searches."""
    rng = np.random.default_rng(2)
    factors = rng.standard_normal((_ITEMS, _FACTORS)).astype(np.float32)
    index = build_index(factors)
    vector = rng.standard_normal(_FACTORS).astype(np.float32)
    query = vector[None, :]
    allowed = rng.random(_ITEMS) < 0.9
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        ours, bare = per_call_microseconds(
            lambda: top_items(index, vector, _K), lambda: index.searcher.search(query, _K), round_seconds=0.1
        )
        filtered, _ = per_call_microseconds(
            lambda: top_items(index, vector, _K, allowed), lambda: None, rounds=7, round_seconds=0.1
        )
    finally:
        faiss.omp_set_num_threads(threads)
    name = f"best {_K} of {_ITEMS:,} items, {_FACTORS} dimensions"
    return [
        of_samples(name, "µs", ours, notes=[f"bare IndexFlatIP.search takes {np.median(bare):.0f} µs"]),
        Measurement(f"{name} / FAISS", "×", ratio_of_medians(ours, bare), target=1.1, details={"faiss_us": bare}),
        of_samples(f"{name}, 90 % allowed", "µs", filtered),
    ]
