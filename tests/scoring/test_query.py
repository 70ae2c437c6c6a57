"""Whatever vector is asked for, the index is asked at the beginning of a cache line, and for the same vector."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.scoring.retrieval import top_items
from training.index import build_index


@pytest.mark.parametrize("offset", range(16))
def test_where_a_vector_lies_changes_nothing(offset: int) -> None:
    rng = np.random.default_rng(3)
    index = build_index(rng.standard_normal((500, 24)).astype(np.float32))
    asked: list[np.ndarray] = []
    search = index.searcher.search

    def watched(query: np.ndarray, *rest: object, **more: object) -> object:
        asked.append(query)
        return search(query, *rest, **more)

    index.searcher.search = watched
    vector = rng.standard_normal(24 + 16).astype(np.float32)[offset : offset + 24]
    rows, scores = top_items(index, vector, 10)
    assert asked[0].ctypes.data % 64 == 0
    np.testing.assert_array_equal(asked[0][0], vector)
    assert rows.tolist() == np.argsort(-(index.vectors @ vector), kind="stable")[:10].tolist()
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
