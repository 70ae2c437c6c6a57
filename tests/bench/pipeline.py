"""The offline pipeline on MovieLens 1M against the two library calls at its heart."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final

import faiss
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from tests.bench.machine import Neighbours
from tests.bench.measurement import Context, Measurement, of_samples, seconds_of
from tests.bench.unjudged import UNJUDGED
from training.als import exact_users
from training.config import RunConfig, load_config
from training.errors import DataMissing
from training.half_step import cores
from training.matrix import build_matrix
from training.plan import Places, Plan, Source
from training.progress import Progress
from training.run import Fit, check_trainable, fit_everything, publish

_DATASET: Final = "movielens-1m-ncf"
_QUIET_PAIRS: Final = 5
_MOST_PAIRS: Final = 10
_QUIET: Final = 0.06
"""A pair during which others took more than this share of the machine is measured again, whatever it gave."""
_NAME: Final = f"pipeline on {_DATASET}"
_RATIO: Final = f"{_NAME} / bare fit + index"


@dataclass(slots=True)
class Stages:
    """Seconds by stage, in the order they came."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def done(self, stage: str) -> None:
        """The time since the last stage belongs to this one."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


def measure(context: Context) -> list[Measurement]:
    """Wall time from the files to a published bundle, evaluation apart, as a ratio to the bare calls.

    Both sides run in this process in alternating order, on the same matrix, with the same settings and threads.
    """
    config = _config()
    plan = Plan(Source(_DATASET, context.data_dir), config)
    places = Places(context.scratch / "models", context.scratch / "state")
    try:
        fit = _pipeline(plan, places).fit  # pages the files in and warms the libraries up; not counted
    except DataMissing as exc:
        return [Measurement(_RATIO, "×", target=1.5, missing=str(exc))]
    matrix = fit.matrix.training
    pairs: list[_Pair] = []
    while len(pairs) < _MOST_PAIRS and sum(pair.quiet for pair in pairs) < _QUIET_PAIRS:
        pairs.append(_pair(plan, places, matrix, bare_first=len(pairs) % 2 == 1))
    return _lines(pairs, matrix, _inside(plan, places, fit))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Seconds by stage of both sides, run one after the other, and what other processes took meanwhile."""

    pipeline: dict[str, float]
    bare: dict[str, float]
    others_share: float

    @property
    def quiet(self) -> bool:
        return self.others_share <= _QUIET


def _pair(plan: Plan, places: Places, matrix: csr_matrix, *, bare_first: bool) -> _Pair:
    gc.collect()
    neighbours = Neighbours()
    if bare_first:
        bare = _bare(matrix, plan.config)
        pipeline = _pipeline(plan, places).seconds
    else:
        pipeline = _pipeline(plan, places).seconds
        bare = _bare(matrix, plan.config)
    return _Pair(pipeline, bare, neighbours.share())


@dataclass(frozen=True, slots=True)
class _Run:
    fit: Fit
    seconds: dict[str, float]


def _config() -> RunConfig:
    # The defaults: the preset of the data set is a blend, and has nothing to be set beside in `implicit`.
    config = load_config("", None)
    return config.model_copy(update={"als": config.als.model_copy(update={"factors": 64, "iterations": 15})})


def _pipeline(plan: Plan, places: Places) -> _Run:
    quiet = Progress(quiet=True)
    stages = Stages()
    dataset = plan.source.read(plan.config, places.state_dir)
    stages.done("read")
    check_trainable(dataset, plan.config)
    stages.done("check")
    fit = fit_everything(dataset, plan.config, quiet)
    stages.done("matrix and fit")
    publish(plan, places, dataset, fit, None, None, UNJUDGED, quiet)
    stages.done("index and bundle")
    return _Run(fit, stages.seconds)


def _bare(matrix: csr_matrix, config: RunConfig) -> dict[str, float]:
    """What one would write by hand: implicit with BLAS on one thread, as its documentation asks, and a flat index."""
    stages = Stages()
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=config.als.factors,
            regularization=config.als.regularization,
            alpha=1.0,
            iterations=config.als.iterations,
            random_state=config.als.seed,
            num_threads=cores(),
        )
        model.fit(matrix, show_progress=False)
    stages.done("fit")
    index = faiss.IndexFlatIP(config.als.factors)
    index.add(np.ascontiguousarray(model.item_factors))
    stages.done("index")
    return stages.seconds


def _inside(plan: Plan, places: Places, fit: Fit) -> dict[str, float]:
    """Seconds of what the stages hide, each run once more by itself."""
    config = plan.config
    events = plan.source.read(config, places.state_dir).events
    regularization = config.als.regularization
    return {
        "matrix": seconds_of(lambda: build_matrix(events, config.interactions.recipe(), fit.as_of)),
        "exact user half-step": seconds_of(lambda: exact_users(fit.matrix.training, fit.factors.items, regularization)),
    }


def _lines(pairs: list[_Pair], matrix: csr_matrix, inside: dict[str, float]) -> list[Measurement]:
    quiet = [pair for pair in pairs if pair.quiet]
    used = quiet or pairs
    totals, bare_totals = [sum(pair.pipeline.values()) for pair in used], [sum(pair.bare.values()) for pair in used]
    stages = {name: median(pair.pipeline[name] for pair in used) for name in used[0].pipeline}
    details: dict[str, Any] = {
        "users": matrix.shape[0],
        "items": matrix.shape[1],
        "interactions": int(matrix.nnz),
        "pairs": [asdict(pair) for pair in pairs],
        "stage_medians": stages,
        "inside": inside,
    }
    found = f"{len(quiet)} quiet pairs of {len(pairs)}"
    notes = [_shown(stages, inside), found if quiet else f"{found}: the machine was busy throughout, do not trust this"]
    ratios = [whole / part for whole, part in zip(totals, bare_totals, strict=True)]
    ratio = Measurement(
        _RATIO, "×", median(totals) / median(bare_totals), target=1.5, samples=ratios, notes=notes, details=details
    )
    return [
        ratio,
        of_samples(_NAME, "s", totals),
        of_samples("bare implicit.fit + IndexFlatIP", "s", bare_totals),
    ]


def _shown(stages: dict[str, float], inside: dict[str, float]) -> str:
    def listed(seconds: dict[str, float]) -> str:
        return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())

    return f"{listed(stages)} (of which {listed(inside)})"
