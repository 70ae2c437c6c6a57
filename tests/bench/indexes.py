"""Every kind of index at every setting, at growing catalogues: recall and time against exact search."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.bundle.index import ItemIndex
from recsvc.bundle.types import Float32
from tests.bench.generated import factors_of
from tests.bench.measurement import Context, Measurement, seconds_of
from training.config import FamilyName
from training.index import build_index
from training.indexes.choose import EXACT
from training.indexes.families import FAMILIES
from training.indexes.measure import Probe

_ITEMS: Final = (100_000, 1_000_000)
_FACTORS: Final = 128
_GRAPH_ITEMS: Final = 100_000
"""A graph of more takes too long to build."""


def measure(context: Context) -> list[Measurement]:
    """One line for each kind: the first setting that reaches recall@100 .95, else the last; the others are noted."""
    lines = []
    for n_items in _ITEMS:
        users, items = factors_of(10_000, n_items, _FACTORS, seed=4)
        probe = Probe.of(items, users, seed=4)
        exact = probe.measure(build_index(items), EXACT)
        title = f"{n_items:,} items × {_FACTORS}"
        lines.append(Measurement(f"{title}: {EXACT}", "ms", exact.search_ms_median))
        names = [name for name in FAMILIES if name != "hnsw" or n_items <= _GRAPH_ITEMS]
        lines += [_line(f"{title}: {name}", name, items, probe) for name in names]
    return lines


def _line(title: str, name: FamilyName, items: Float32, probe: Probe) -> Measurement:
    family = FAMILIES[name]
    searchers: list[object] = []
    seconds = seconds_of(lambda: searchers.append(family.build(items, np.random.default_rng(4))))
    notes, points = [f"built in {seconds:.1f} s"], []
    for step in family.steps(len(items)):
        setting = family.set(searchers[0], step)
        point = probe.measure(ItemIndex(searchers[0], items, step.pool), name, setting)
        points.append(point)
        notes.append(
            f"{setting}: recall {point.recall_at_100:.3f}, {point.search_ms_median:.2f} ms, "
            f"p99 {point.search_ms_p99:.2f} ms"
        )
        if point.recall_at_100 >= 0.95:
            break
    return Measurement(
        title, "ms", points[-1].search_ms_median, notes=notes, details={"points": [p.model_dump() for p in points]}
    )
