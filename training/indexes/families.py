"""The approximate indexes that are tried, each with its settings from the cheapest to the most thorough.

All of them work by inner product. That is not a small print: on item factors, whose lengths follow popularity, a graph
searched by raw inner products misses whole parts of a catalogue (faiss issue 1496), so `hnsw` searches by distance in a
space with one dimension more, where the nearest is the largest product (Bachrach et al., RecSys 2014); lists are
clustered by direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np

from recsvc.bundle.types import Float32
from training.config import FamilyName

_TRAINED_ON: Final = 100_000
"""At most so many vectors teach a quantiser; more change nothing that can be measured."""
_GRAPH_DEGREE: Final = 32
_GRAPH_EFFORT: Final = 80


@dataclass(frozen=True, slots=True)
class Step:
    """One setting: how many items are offered for a list of 100, and the value of the family's own parameter."""

    pool: int
    effort: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """`build` makes the faiss index of item factors float32 (n, d), given a generator for its sample of them; `steps`
    are its settings for n items, cheapest first; `parameter` is what faiss calls what `Step.effort` sets."""

    build: Callable[[Float32, np.random.Generator], Any]
    steps: Callable[[int], tuple[Step, ...]]
    parameter: str | None = None

    def set(self, index: Any, step: Step) -> str:
        """Sets an index of the family; returns the setting in words."""
        if self.parameter is None or step.effort is None:
            return f"pool {step.pool}"
        faiss.ParameterSpace().set_index_parameter(index, self.parameter, step.effort)
        return f"pool {step.pool}, {self.parameter} {step.effort}"


def _sample(factors: Float32, rng: np.random.Generator) -> Float32:
    """Vectors to learn from; items that nobody met are all 0 and teach nothing."""
    rows = np.flatnonzero(factors.any(axis=1))
    if len(rows) > _TRAINED_ON:
        rows = np.sort(rng.choice(rows, _TRAINED_ON, replace=False))
    return np.ascontiguousarray(factors[rows] if len(rows) else factors)


def _made(index: Any, factors: Float32, rng: np.random.Generator) -> Any:
    index.train(_sample(factors, rng))
    index.add(np.ascontiguousarray(factors))
    return index


def _scalar(factors: Float32, rng: np.random.Generator) -> Any:
    """A byte a factor, searched whole."""
    kind = faiss.ScalarQuantizer.QT_8bit_uniform
    return _made(faiss.IndexScalarQuantizer(factors.shape[1], kind, faiss.METRIC_INNER_PRODUCT), factors, rng)


def _pq(factors: Float32, rng: np.random.Generator) -> Any:
    """Four bits a factor, searched whole in the registers of the processor."""
    return _made(_of(f"PQ{factors.shape[1]}x4fs", factors), factors, rng)


def _pq_half(factors: Float32, rng: np.random.Generator) -> Any:
    """Four bits for two factors; for one, where their number is odd."""
    width = factors.shape[1]
    return _made(_of(f"PQ{width // 2 if width % 2 == 0 else width}x4fs", factors), factors, rng)


def _ivf_pq(factors: Float32, rng: np.random.Generator) -> Any:
    """Four bits a factor, in lists by direction, of which the nearest are searched."""
    return _made(_of(f"IVF{_lists(len(factors))},PQ{factors.shape[1]}x4fs", factors), factors, rng)


def _of(description: str, factors: Float32) -> Any:
    # For inner products the factory clusters lists by direction (`cp.spherical`).
    return faiss.index_factory(factors.shape[1], description, faiss.METRIC_INNER_PRODUCT)


def _lists(n_items: int) -> int:
    return max(1, round(float(np.sqrt(n_items)) / 2))


def _hnsw(factors: Float32, rng: np.random.Generator) -> Any:
    """A graph over the vectors with √(longest² − length²) as one factor more; a query has 0 there."""
    width = factors.shape[1]
    squares = np.einsum("ij,ij->i", factors, factors)
    graph = faiss.IndexHNSWFlat(width + 1, _GRAPH_DEGREE)
    graph.hnsw.efConstruction = _GRAPH_EFFORT
    graph.add(np.column_stack([factors, np.sqrt(np.maximum(squares.max() - squares, 0))]).astype(np.float32))
    widened = faiss.LinearTransform(width, width + 1, False)
    faiss.copy_array_to_vector(np.eye(width + 1, width, dtype=np.float32).ravel(), widened.A)
    widened.is_trained = True
    index = faiss.IndexPreTransform(widened, graph)
    index.ntotal = graph.ntotal
    index.own_fields = True
    for part in (widened, graph):
        part.this.disown()
    return index


def _pools(*sizes: int) -> Callable[[int], tuple[Step, ...]]:
    return lambda n_items: tuple(Step(min(size, n_items)) for size in sizes)


def _probes(n_items: int) -> tuple[Step, ...]:
    lists = _lists(n_items)
    return tuple(Step(min(1600, n_items), max(1, lists // share)) for share in (16, 8, 4, 2))


def _efforts(n_items: int) -> tuple[Step, ...]:
    return tuple(Step(min(effort, n_items), effort) for effort in (200, 400, 800, 1600))


FAMILIES: Final[dict[FamilyName, Family]] = {
    "scalar": Family(_scalar, _pools(120, 400)),
    "pq": Family(_pq, _pools(400, 800, 1600, 3200, 6400)),
    "pq-half": Family(_pq_half, _pools(400, 800, 1600, 3200, 6400)),
    "ivf-pq": Family(_ivf_pq, _probes, "nprobe"),
    "hnsw": Family(_hnsw, _efforts, "efSearch"),
}
