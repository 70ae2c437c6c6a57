"""Exact search while it is fast enough; beyond, only what reaches the target, and the fastest of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsvc.scoring.retrieval import top_items
from training.config import IndexConfig
from training.indexes.choose import EXACT, choose_index
from training.indexes.families import FAMILIES, Step
from training.indexes.measure import Probe
from training.progress import Progress

RNG = np.random.default_rng(5)
ITEMS = (RNG.standard_normal((8_000, 16)) * RNG.pareto(3.0, (8_000, 1))).astype(np.float32)
USERS = RNG.standard_normal((60, 16)).astype(np.float32)
QUIET = Progress(quiet=True)


def _config(**changed: Any) -> IndexConfig:
    return IndexConfig(**({"latency_ms": 1e-9, "recall": 0.9, "families": ("scalar", "pq", "ivf-pq")} | changed))


def test_exact_search_is_kept_within_the_budget_and_nothing_else_is_built() -> None:
    index, summary = choose_index(ITEMS, USERS, _config(latency_ms=1e6), QUIET, seed=1)
    assert index.pool is None
    assert summary.exact
    assert [point.kind for point in summary.measured] == [EXACT]
    assert summary.recall_at_100 == 1.0


def test_beyond_the_budget_the_fastest_that_reached_the_target_is_kept() -> None:
    index, summary = choose_index(ITEMS, USERS, _config(), QUIET, seed=1)
    assert {point.kind for point in summary.measured} == {EXACT, "scalar", "pq", "ivf-pq"}
    reached = [point for point in summary.measured if point.recall_at_100 >= 0.9]
    assert summary.search_ms_median == min(point.search_ms_median for point in reached)
    assert summary.recall_at_100 >= 0.9
    assert summary.pool == index.pool
    again = Probe.of(ITEMS, USERS, seed=1).measure(index, summary.kind)
    assert again.recall_at_100 == summary.recall_at_100


def test_exact_search_stays_where_nothing_reaches_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = replace(FAMILIES["pq-half"], steps=lambda n_items: (Step(100), Step(101)))
    monkeypatch.setitem(FAMILIES, "pq-half", hasty)
    index, summary = choose_index(ITEMS, USERS, _config(recall=1.0, families=("pq-half",)), QUIET, seed=1)
    assert summary.exact
    assert index.pool is None
    assert [point.setting for point in summary.measured] == ["", "pool 100", "pool 101"]
    assert all(point.recall_at_100 < 1.0 for point in summary.measured[1:])


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_each_family_finds_most_of_what_exact_search_finds(name: str) -> None:
    """Lengths that follow popularity are what breaks graphs searched by inner product."""
    index, summary = choose_index(ITEMS[:4_000], USERS, _config(families=(name,), recall=0.8), QUIET, seed=1)
    assert summary.measured[-1].kind == name
    assert summary.measured[-1].recall_at_100 >= 0.8
    rows, _ = top_items(index, USERS[0], 100)
    assert len(rows) == 100


def test_factors_of_odd_width_and_items_without_factors_are_indexed() -> None:
    items = ITEMS[:3_000, :7].copy()
    items[::3] = 0
    for family in FAMILIES.values():
        assert family.build(items, np.random.default_rng(0)).ntotal == len(items)
