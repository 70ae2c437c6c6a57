"""The list of one user by a blended model, against the list by the factors alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from scipy.sparse import coo_matrix

from recsvc.bundle.manifest import BlendSpec
from recsvc.bundle.types import Bundle, Int32, Neighbours, UserRow
from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel
from tests.bench.measurement import Context, Measurement, of_samples, ratio_of_medians
from tests.bench.misses import in_turns, one_thread
from tests.builders import AS_OF, make_bundle

_ITEMS: Final = 41_000
_FACTORS: Final = 128
_NEIGHBOURS: Final = 300
_HISTORY: Final = 50
_USERS: Final = 400
_WARM_UP_USERS: Final = 20
_DEPTH: Final = 100
_TARGET: Final = 3.0
_SPEC: Final = BlendSpec(
    bounds=[2, 5, 15],
    weights={"factors": [0.2, 0.5, 1.0, 1.0], "neighbours": [1.0] * 4, "popularity": [0.5, 0.2, 0.1, 0.05]},
)


def measure(context: Context) -> list[Measurement]:
    """A miss of a known user with 50 items, 41,000 items × 128 factors, up to 300 neighbours an item, on one thread.

    The first list's 100 candidates with their reasons; the two models take turns, user by user. Popular items have more
    neighbours and are in more histories, as in real data.
    """
    rng = np.random.default_rng(4)
    plain = make_bundle(context.scratch, n_users=_USERS, n_items=_ITEMS, n_factors=_FACTORS)
    models = ServedModel(plain), ServedModel(_blended(plain, rng))
    users = [_known(rng, row) for row in range(_USERS)]
    with one_thread():
        by_factors, by_blend = in_turns(models, users, _DEPTH, AS_OF, _WARM_UP_USERS)
    name = f"a list by a blend, {_ITEMS:,} items × {_FACTORS}, {_NEIGHBOURS} neighbours an item, {_HISTORY} of history"
    p99 = [float(np.percentile(samples, 99)) for samples in (by_factors, by_blend)]
    note = f"by the factors alone: median {np.median(by_factors):.2f} ms, p99 {p99[0]:.2f} ms"
    return [
        of_samples(name, "ms", by_blend, notes=[note], details={"factors_alone_ms": by_factors}),
        Measurement(f"{name}: p99", "ms", p99[1], details={"factors_alone_p99_ms": p99[0]}),
        Measurement(f"{name} / by the factors alone", "×", ratio_of_medians(by_blend, by_factors), target=_TARGET),
        Measurement(f"{name}: p99 / by the factors alone", "×", p99[1] / p99[0], target=_TARGET),
    ]


def _skewed(rng: np.random.Generator, count: int) -> Int32:
    """Item rows, the lower ones more often."""
    return (_ITEMS * rng.random(count) ** 2).astype(np.int32)


def _known(rng: np.random.Generator, row: int) -> Knowledge:
    items = np.unique(_skewed(rng, 4 * _HISTORY))
    items = np.sort(rng.permutation(items)[:_HISTORY])
    confidence = (1 + 40 * rng.random(_HISTORY)).astype(np.float32)
    return Knowledge(UserRow(row), items, confidence, np.zeros(_HISTORY, dtype=np.bool_), items)


def _blended(plain: Bundle, rng: np.random.Generator) -> Bundle:
    """The same model with neighbours, and a blend of all components."""
    size = _ITEMS * _NEIGHBOURS
    spoken_for = np.repeat(np.arange(_ITEMS, dtype=np.int32), _NEIGHBOURS)
    matrix = coo_matrix(
        (rng.random(size, dtype=np.float32), (_skewed(rng, size), spoken_for)), (_ITEMS, _ITEMS)
    ).tocsr()
    neighbours = Neighbours(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    manifest = plain.manifest.model_copy(update={"kind": "blend", "blend": _SPEC})
    return replace(plain, manifest=manifest, neighbours=neighbours)
