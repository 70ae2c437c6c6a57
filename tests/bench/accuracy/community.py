"""Deskdrop, split by time: the blend against popularity, item-item neighbours and unweighted ALS, user by user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.types import Float32
from training.compare import PairedComparison, paired
from training.config import RunConfig, load_config
from training.evaluate import Evaluation, evaluate
from training.experiment import fitted_ranker
from training.plan import Source
from training.progress import Progress
from training.rankers import ItemItemRanker, PopularityRanker, Ranker
from training.sources.dataset import Dataset
from training.split import make_split

DATASET: Final = "deskdrop"
METRIC: Final = "ndcg@10"
_SETTINGS: Final = Path(__file__).parent / "settings"
_MODEL, _UNWEIGHTED = "blend", "unweighted ALS"


@dataclass(frozen=True, slots=True)
class Community:
    """Means over users and seeds by model, and the model against each of the others."""

    test_users: int
    seeds: Sequence[int]
    means: dict[str, float]
    comparisons: dict[str, PairedComparison]


def measure_community(seeds: Sequence[int], data_dir: Path, scratch: Path) -> Community:
    """Each user's NDCG@10 is the mean over the seeds, so a paired test has one value a user. Raises DataMissing."""
    config = load_config(DATASET, None)
    unweighted = load_config(DATASET, _SETTINGS / "deskdrop.unweighted.toml")
    dataset = Source(DATASET, data_dir).read(config, scratch)
    runs = [_per_user(dataset, _seeded(config, seed), _seeded(unweighted, seed)) for seed in seeds]
    values = {
        name: np.mean([run[name] for run in runs], axis=0, dtype=np.float64).astype(np.float32) for name in runs[0]
    }
    return Community(
        test_users=len(values[_MODEL]),
        seeds=seeds,
        means={name: float(found.mean(dtype=np.float64)) for name, found in values.items()},
        comparisons={name: paired(found, values[_MODEL], seed=0) for name, found in values.items() if name != _MODEL},
    )


def _per_user(dataset: Dataset, config: RunConfig, unweighted: RunConfig) -> dict[str, Float32]:
    """The metric of every test user by each model; all meet the same users, seen and held-out items."""
    split = make_split(dataset, config.split, config.interactions.recipe())
    plain = make_split(dataset, unweighted.split, unweighted.interactions.recipe())
    progress = Progress(quiet=True)
    rankers: list[Ranker] = [
        fitted_ranker(_MODEL, split, config, progress),
        PopularityRanker(split.popularity),
        ItemItemRanker(split.train, neighbours=config.evaluation.neighbours),
        fitted_ranker(_UNWEIGHTED, replace(split, train=plain.train), unweighted, progress),
    ]
    evaluation: Evaluation = evaluate(rankers, split, seed=config.als.seed)
    return {name: found[METRIC] for name, found in evaluation.per_user.items()}


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    return config.model_copy(update={"als": config.als.model_copy(update={"seed": seed})})
