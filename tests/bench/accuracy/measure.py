"""Fitting and measuring one row, seed by seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import BlendSpec
from tests.bench.accuracy.rows import Row
from tests.bench.accuracy.serving import Served, serve
from training.blend import Learned, learn_blend
from training.config import RunConfig, load_config
from training.evaluate import evaluate
from training.fitted import fit_model, fit_weights, ranker_of
from training.plan import Source
from training.progress import Progress
from training.split import Split, make_split


@dataclass(frozen=True, slots=True)
class Result:
    """One row measured. `values` by metric, one for each of the `seeds`; `seconds` of each fit, `learning_seconds` of
    choosing the weights of a blend; `weights` what was chosen, and `validation` what it gave there."""

    row: Row
    config: RunConfig
    seeds: Sequence[int]
    test_users: int
    values: dict[str, list[float]]
    seconds: Sequence[float]
    learning_seconds: float
    weights: BlendSpec | None
    validation: dict[str, float]
    served: Served

    def mean(self, metric: str) -> float:
        """Over the seeds."""
        return mean(self.values[metric])

    def spread(self, metric: str) -> float:
        """The standard deviation over the seeds; 0 of one."""
        return stdev(self.values[metric]) if len(self.seeds) > 1 else 0.0


class Remembered:
    """Item × item weights, fitted once for the same pairs and settings: they know no seed, and rows share them."""

    def __init__(self) -> None:
        self._found: dict[str, csr_matrix] = {}

    def __call__(self, train: csr_matrix, config: RunConfig) -> csr_matrix:
        """As `fit_weights`."""
        digest = hashlib.sha256(train.indptr.tobytes() + train.indices.tobytes() + (train.data > 0).tobytes())
        digest.update(f"{config.model.kind} {config.neighbours!r}".encode())
        key = digest.hexdigest()
        if key not in self._found:
            self._found[key] = fit_weights(train, config)
        return self._found[key]


def measure(row: Row, seeds: Sequence[int], data_dir: Path, scratch: Path, weigh: Remembered) -> Result:
    """Fits the row's recipe for each seed and measures it on the published test part.

    The weights of a blend are learnt once, inside the training part. Raises DataMissing naming the file that is not
    there.
    """
    config = load_config(row.dataset, row.settings)
    dataset = Source(row.dataset, data_dir).read(config, scratch)
    split = make_split(dataset, config.split, config.interactions.recipe())
    started = time.perf_counter()
    learned = _learned(split, config, weigh)
    learning_seconds = time.perf_counter() - started
    values: dict[str, list[float]] = {figure.metric: [] for figure in row.figures}
    seconds: list[float] = []
    served: Served | None = None
    for seed in seeds:
        seeded = config.model_copy(update={"als": config.als.model_copy(update={"seed": seed})})
        started = time.perf_counter()
        model = fit_model(split.train, split.popularity, seeded, blend=learned.blend if learned else None, weigh=weigh)
        seconds.append(time.perf_counter() - started)
        if served is None:
            served = serve(model, dataset, seeded, scratch)
        means = evaluate([ranker_of(model, row.name)], split, seed=seed).means()[row.name]
        for metric, found in values.items():
            found.append(means[metric])
    if served is None:
        raise ValueError("no seed to measure with")
    return Result(
        row=row,
        config=config,
        seeds=seeds,
        test_users=int(np.count_nonzero(np.diff(split.test.indptr))),
        values=values,
        seconds=seconds,
        learning_seconds=learning_seconds,
        weights=learned.blend if learned else None,
        validation=learned.metrics() if learned else {},
        served=served,
    )


def _learned(split: Split, config: RunConfig, weigh: Remembered) -> Learned | None:
    if config.model.kind != "blend":
        return None
    return learn_blend(split.training_events(), config, Progress(quiet=True), weigh=weigh)
