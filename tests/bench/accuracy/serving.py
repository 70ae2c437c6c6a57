"""What a measured model costs to serve: its bundle, and a list computed from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from recsvc.bundle.manifest import GateResult
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle
from recsvc.serving.knowledge import Knowledge, of_history
from recsvc.serving.served import ServedModel
from recsvc.serving.sources import for_user
from training.config import RunConfig
from training.fitted import FittedModel
from training.index import build_index
from training.matrix import Matrix
from training.plan import Places, Plan, Source
from training.progress import Progress
from training.run import Fit, publish
from training.sources.dataset import Dataset

_PLAIN_FACTORS: Final = 128
_USERS: Final = 400
_WARM_UP_USERS: Final = 20
_DEPTH: Final = 100
_UNJUDGED: Final = GateResult(
    champion=None,
    metric="ndcg@10",
    candidate_value=0.0,
    champion_value=None,
    tolerance=0.0,
    passed=False,
    message="not judged: a benchmark run",
)


@dataclass(frozen=True, slots=True)
class Served:
    """`bytes` of the bundle; milliseconds of a miss (a list of 100 with reasons, one thread), median and 99th
    percentile over users, and the same of a plain ALS of 128 factors over the same users and items."""

    bytes: int
    median: float
    p99: float
    plain_median: float
    plain_p99: float


def serve(model: FittedModel, dataset: Dataset, config: RunConfig, scratch: Path) -> Served:
    """Publishes the model in `scratch`, opens it, and computes lists of users as the service does on a miss."""
    places = Places(scratch / "models", scratch / "state")
    plan = Plan(Source("bench", scratch), config)
    fit = Fit(as_of=None, matrix=Matrix(model.train), model=model)
    version = publish(plan, places, dataset, fit, None, None, _UNJUDGED, Progress(quiet=True))
    path = places.models_dir / version
    bundle = open_bundle(path, places.state_dir / "receipts", full=True)
    models = ServedModel(bundle), ServedModel(_plain(bundle))
    rng = np.random.default_rng(0)
    active = np.flatnonzero(np.diff(bundle.interactions.indptr))
    rows = rng.choice(active, size=min(_USERS, len(active)), replace=False)
    users = [of_history(models[0].history(bundle.users[int(row)])) for row in rows]
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            own, plain = _in_turns(models, users)
    finally:
        faiss.omp_set_num_threads(threads)
    size = sum(file.stat().st_size for file in path.iterdir())
    own_p50, own_p99 = (float(value) for value in np.percentile(own, [50, 99]))
    plain_p50, plain_p99 = (float(value) for value in np.percentile(plain, [50, 99]))
    return Served(size, own_p50, own_p99, plain_p50, plain_p99)


def _plain(bundle: Bundle) -> Bundle:
    """A model of factors alone over the same users, items and histories; what its factors say matters not."""
    rng = np.random.default_rng(1)
    items = rng.standard_normal((len(bundle.items), _PLAIN_FACTORS), dtype=np.float32)
    users = rng.standard_normal((len(bundle.users), _PLAIN_FACTORS), dtype=np.float32)
    wide = items.astype(np.float64)
    return replace(
        bundle,
        manifest=bundle.manifest.model_copy(update={"kind": "als", "blend": None, "n_factors": _PLAIN_FACTORS}),
        user_factors=users,
        item_factors=items,
        gram=wide.T @ wide,
        index=build_index(items),
        neighbours=None,
        content=None,
    )


def _in_turns(models: Sequence[ServedModel], users: Sequence[Knowledge]) -> tuple[list[float], list[float]]:
    """Milliseconds of each user's list under the two models."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number, known in enumerate(users):
        for model, kept in zip(models, samples, strict=True):
            started = time.perf_counter()
            for_user(model, known, (), _DEPTH, 0.0)
            if number >= _WARM_UP_USERS:
                kept.append((time.perf_counter() - started) * 1000)
    return samples
