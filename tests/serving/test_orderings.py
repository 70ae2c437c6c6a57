"""The orders that a bundle brings are those that would be sorted out of it, and a list needs only their head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.catalog.live import LiveItems
from recsvc.scoring.retrieval import first_allowed
from recsvc.serving.candidates import Source
from recsvc.serving.orderings import Orderings
from recsvc.serving.view import LiveView
from tests.builders import CATEGORIES, make_bundle


@pytest.mark.parametrize("source", [Source.POPULAR, Source.TRENDING, Source.LATEST])
def test_stored_orders_are_the_sorted_ones(tmp_path: Path, source: Source) -> None:
    bundle = make_bundle(tmp_path)
    assert bundle.orders is not None
    bare = replace(bundle, orders=None)
    stored, sorted_out = (Orderings(one, LiveView(one, LiveItems())) for one in (bundle, bare))
    for category in (None, *range(len(CATEGORIES)), len(CATEGORIES)):
        np.testing.assert_array_equal(stored.order(source, category), sorted_out.order(source, category))


@given(seed=st.integers(0, 1000), n=st.integers(0, 200), k=st.integers(1, 50), share=st.floats(0, 1))
def test_the_first_allowed_rows_are_those_of_the_whole_order(seed: int, n: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(n).astype(np.int32)
    allowed = rng.random(n) < share
    assert first_allowed(order, k, allowed).tolist() == order[allowed[order]][:k].tolist()
    assert first_allowed(order, k, None).tolist() == order[:k].tolist()
