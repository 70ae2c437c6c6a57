"""Exact first, approximate by proof."""

from __future__ import annotations

import numpy as np

from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import IndexPoint, IndexSummary
from recsvc.bundle.types import Float32
from training.config import IndexConfig
from training.index import build_index
from training.indexes.families import FAMILIES, Family
from training.indexes.measure import Probe
from training.progress import Progress

EXACT = "IndexFlatIP"


def choose_index(
    item_factors: Float32, user_factors: Float32, config: IndexConfig, progress: Progress, *, seed: int
) -> tuple[ItemIndex, IndexSummary]:
    """The index of a bundle, and what it was chosen from.

    `item_factors` float32 (n_items, n_factors), `user_factors` float32 (n_users, n_factors). Exact search while its
    p99 is within `config.latency_ms`. Beyond that each of `config.families` is built in turn and measured from its
    cheapest setting on until one reaches `config.recall`; of those that did, and exact search itself, the fastest by
    the median is kept.
    """
    probe = Probe.of(item_factors, user_factors, seed=seed)
    kept = build_index(item_factors)
    best = probe.measure(kept, EXACT)
    measured = [best]
    if best.search_ms_p99 > config.latency_ms:
        for name in config.families:
            progress.say(f"  exact search takes {measured[0].search_ms_p99:.1f} ms (p99): trying {name} …")
            found, points = _tried(name, FAMILIES[name], item_factors, probe, config.recall, seed)
            measured += points
            if found is not None and points[-1].search_ms_median < best.search_ms_median:
                kept, best = found, points[-1]
    return kept, _summary(kept, best, measured, config, len(probe.queries))


def _tried(
    name: str, family: Family, item_factors: Float32, probe: Probe, target: float, seed: int
) -> tuple[ItemIndex | None, list[IndexPoint]]:
    """The family's index at the first setting that reached the target, or None; every point up to there."""
    searcher = family.build(item_factors, np.random.default_rng(seed))
    points = []
    for step in family.steps(len(item_factors)):
        setting = family.set(searcher, step)
        index = ItemIndex(searcher, item_factors, step.pool)
        points.append(probe.measure(index, name, setting))
        if points[-1].recall_at_100 >= target:
            return index, points
    return None, points


def _summary(
    kept: ItemIndex, best: IndexPoint, measured: list[IndexPoint], config: IndexConfig, queries: int
) -> IndexSummary:
    return IndexSummary(
        kind=best.kind,
        exact=kept.pool is None,
        recall_at_100=best.recall_at_100,
        queries=queries,
        search_ms_median=best.search_ms_median,
        search_ms_p99=best.search_ms_p99,
        pool=kept.pool,
        latency_budget_ms=config.latency_ms,
        recall_target=config.recall,
        measured=measured,
    )
