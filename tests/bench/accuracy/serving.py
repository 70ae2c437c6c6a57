"""What a measured model costs to serve: its bundle, and a list computed from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle
from recsvc.serving.knowledge import of_history
from recsvc.serving.served import ServedModel
from tests.bench.misses import in_turns, one_thread
from tests.bench.unjudged import UNJUDGED
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
    version = publish(plan, places, dataset, fit, None, None, UNJUDGED, Progress(quiet=True))
    path = places.models_dir / version
    bundle = open_bundle(path, places.state_dir / "receipts", full=True)
    models = ServedModel(bundle), ServedModel(_plain(bundle))
    rng = np.random.default_rng(0)
    active = np.flatnonzero(np.diff(bundle.interactions.indptr))
    rows = rng.choice(active, size=min(_USERS, len(active)), replace=False)
    users = [of_history(models[0].history(bundle.users[int(row)])) for row in rows]
    with one_thread():
        own, plain = in_turns(models, users, _DEPTH, 0.0, _WARM_UP_USERS)
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
        spectrum=None,
        content=None,
    )
