"""The blocked ranking is the sorted product, to the row."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundle.types import Interactions
from training.batch import blocks
from training.batch.blocks import ItemTiles, best_of_block


@given(
    seed=st.integers(0, 10_000),
    n_users=st.integers(1, 7),
    n_items=st.integers(1, 400),
    k=st.integers(1, 30),
    ties=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_best_of_a_block_are_the_first_of_the_sorted_products(
    seed: int, n_users: int, n_items: int, k: int, ties: bool
) -> None:
    """Tiles are made small, so that there are many; the lengths of items differ, so that some are left out."""
    rng = np.random.default_rng(seed)
    # Whole numbers are multiplied without rounding, so that ties are ties in whatever order they are summed.
    high = 2 if ties else 1000
    items = (rng.integers(-high, high + 1, (n_items, 4)) * rng.integers(0, 9, (n_items, 1))).astype(np.float32)
    users = rng.integers(-high, high + 1, (n_users + 2, 4)).astype(np.float32)
    own = [np.flatnonzero(rng.random(n_items) < rng.random()).astype(np.int32) for _ in range(n_users + 2)]
    indptr = np.concatenate([[0], np.cumsum([len(rows) for rows in own])]).astype(np.int64)
    seen = Interactions(indptr, np.concatenate(own), np.ones(int(indptr[-1]), dtype=np.float32))
    with patch.object(blocks, "_TILE_ITEMS", 8), patch.object(blocks, "_GROUPS_PER_ITEM", 2):
        rows, scores = best_of_block(users[1:-1], ItemTiles.of(items), seen, 1, k)
    for place in range(n_users):
        products = items @ users[place + 1]
        unseen = np.setdiff1d(np.arange(n_items), own[place + 1])
        expected = unseen[np.argsort(-products[unseen], kind="stable")][: min(k, n_items)]
        assert rows[place][: len(expected)].tolist() == expected.tolist()
        assert (rows[place][len(expected) :] == -1).all()
        np.testing.assert_array_equal(scores[place][: len(expected)], products[expected])
