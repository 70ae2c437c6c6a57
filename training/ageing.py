"""How good a recipe is at several moments, and how fast a model that is not retrained falls behind."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Bool, Float32, Int32
from training import metrics
from training.compare import PairedComparison, paired
from training.config import RunConfig
from training.errors import DataInvalid
from training.evaluate import evaluate
from training.experiment import fitted_ranker
from training.progress import Progress
from training.rankers import ItemItemRanker, PopularityRanker, Ranker
from training.sources.dataset import Dataset, Events
from training.split import Split, split_between

_WEEK: Final = 7 * 86_400.0
_K: Final = 10
_MODEL: Final = "model"
"""Not the kind's name, which may be that of a baseline."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The week after `at` (Unix seconds), ranked for `n_users` by what was trained up to then: `means` by model, then
    metric."""

    at: float
    n_users: int
    means: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Aged:
    """A model some weeks after its training (B) against one retrained at the start of that week (A), NDCG@10.

    `everything`: all test pairs of the week; `known`: those with items that the older model met, which both rank
    among such items alone. Pooled over `n_cuts` cuts: somebody counts once for each week with test pairs.
    """

    n_cuts: int
    everything: PairedComparison
    known: PairedComparison


@dataclass(frozen=True, slots=True)
class Ageing:
    """`cuts` in order of time; `against` each baseline (A) and the model (B), NDCG@10 pooled over the cuts; `aged` by
    the week after the training, from the second."""

    name: str
    cuts: list[Cut]
    against: dict[str, PairedComparison]
    aged: dict[int, Aged]


@dataclass(frozen=True, slots=True)
class _Model:
    """A fitted ranker, and which users and items it met; bool (n_users,) and (n_items,)."""

    ranker: Ranker
    users: Bool
    items: Bool


def measure_ageing(dataset: Dataset, config: RunConfig, progress: Progress) -> Ageing:
    """Trains up to several moments and tests each model on the weeks that follow.

    Weeks are counted back from the last event; those that begin in the last half of the time span and have
    `ageing.least_users` test users may be cut at. A test pair of a week is positive, new to its user at the week's
    start, and of a user and an item met before it. Each cut's model is tested on the weeks after it, beside a model
    fitted at the start of that week, on the same users: those whom both met. Nothing that a user did after the cut is
    folded into the older model. Settings are those given; none is chosen here. Raises DataInvalid where the data has
    no times or no week with enough users.
    """
    events, settings = dataset.events, config.ageing
    if not events.has_time:
        raise DataInvalid(f"{dataset.name}: not every event has a time, so nothing can be trained up to a moment")
    starts = _starts(events)
    usable = [at for at, start in enumerate(starts) if _n_test_users(dataset, config, start) >= settings.least_users]
    if not usable:
        raise DataInvalid(
            f"{dataset.name}: no week of the last half of its time has {settings.least_users} users to test on; "
            "give more events, or lower ageing.least_users in the settings"
        )
    cuts = _thinned(usable, settings.cuts)
    needed = sorted(set(usable) & {cut + week for cut in cuts for week in range(settings.weeks)})
    run = _Run(config, set(cuts))
    for number, at in enumerate(needed, start=1):
        with progress.stage(f"training to {_day(starts[at])} ({number} of {len(needed)})"):
            split = split_between(dataset, config.interactions.recipe(), starts[at], starts[at] + _WEEK)
            ranker = fitted_ranker(_MODEL, split, config, progress)
            run.take(at, starts[at], split, _Model(ranker, *_met(split.seen)))
    return run.result(dataset.name)


class _Run:
    """What was measured so far, and the models still to be tested on later weeks; weeks come in order."""

    def __init__(self, config: RunConfig, cuts: set[int]) -> None:
        self._config = config
        self._cuts = cuts
        self._kept: dict[int, _Model] = {}
        self._weeks: list[Cut] = []
        self._values: dict[str, list[Float32]] = defaultdict(list)
        self._aged: dict[int, list[tuple[Float32, Float32, Float32, Float32]]] = defaultdict(list)

    def take(self, at: int, start: float, split: Split, model: _Model) -> None:
        """Tests the older models on the week that begins at `start`, and the new one when it is a cut."""
        oldest = at - self._config.ageing.weeks
        self._kept = {cut: older for cut, older in self._kept.items() if cut > oldest}
        for cut, older in self._kept.items():
            self._aged[at - cut + 1].append((*_both(split, model, older), *_both_among_known(split, model, older)))
        if at not in self._cuts:
            return
        self._kept[at] = model
        rankers: list[Ranker] = [
            model.ranker,
            ItemItemRanker(split.train, neighbours=self._config.evaluation.neighbours),
            PopularityRanker(split.popularity),
        ]
        found = evaluate(rankers, split, seed=self._config.als.seed)
        self._weeks.append(Cut(start, len(found.users), found.means()))
        for name, values in found.per_user.items():
            self._values[name].append(values[f"ndcg@{_K}"])

    def result(self, name: str) -> Ageing:
        """Everything pooled over the cuts."""
        seed = self._config.als.seed
        pooled = {model: np.concatenate(values) for model, values in self._values.items()}
        aged = {}
        for week, parts in sorted(self._aged.items()):
            new, old, new_known, old_known = (np.concatenate(values) for values in zip(*parts, strict=True))
            aged[week] = Aged(len(parts), paired(new, old, seed=seed), paired(new_known, old_known, seed=seed))
        against = {
            model: paired(values, pooled[_MODEL], seed=seed) for model, values in pooled.items() if model != _MODEL
        }
        return Ageing(name, self._weeks, against, aged)


def _starts(events: Events) -> list[float]:
    """The weeks that begin in the last half of the time span, counted back from its end, in order of time."""
    first, last = float(events.timestamps.min()), float(events.timestamps.max())
    n_weeks = int((last - first) / 2 // _WEEK)
    return [last - _WEEK * back for back in range(n_weeks, 0, -1)]


def _n_test_users(dataset: Dataset, config: RunConfig, start: float) -> int:
    split = split_between(dataset, config.interactions.recipe(), start, start + _WEEK)
    return int((np.diff(split.test.indptr) > 0).sum())


def _thinned(places: list[int], most: int) -> list[int]:
    """At most so many of them, evenly, the first and the last among them."""
    chosen = np.linspace(0, len(places) - 1, min(most, len(places)))
    return [places[at] for at in sorted({int(at) for at in np.round(chosen)})]


def _met(seen: csr_matrix) -> tuple[Bool, Bool]:
    return np.diff(seen.indptr) > 0, np.bincount(seen.indices, minlength=seen.shape[1]) > 0


def _both(split: Split, new: _Model, old: _Model) -> tuple[Float32, Float32]:
    """NDCG@10 of both models for the test users whom the older one met too."""
    users = np.flatnonzero((np.diff(split.test.indptr) > 0) & old.users).astype(np.int32)
    return _ndcg(new.ranker, users, split.seen, split.test), _ndcg(old.ranker, users, split.seen, split.test)


def _both_among_known(split: Split, new: _Model, old: _Model) -> tuple[Float32, Float32]:
    """The same of items that the older model met alone, as if there were no others."""
    test = split.test.copy()
    test.data[~old.items[test.indices]] = 0.0
    test.eliminate_zeros()
    users = np.flatnonzero((np.diff(test.indptr) > 0) & old.users).astype(np.int32)
    unknown = csr_matrix((~old.items).astype(np.float32)[None, :])
    measured = np.zeros((len(old.users), 1), dtype=np.float32)
    measured[users] = 1.0
    barred = csr_matrix(split.seen.maximum(csr_matrix(measured) @ unknown))
    return _ndcg(new.ranker, users, barred, test), _ndcg(old.ranker, users, barred, test)


def _ndcg(ranker: Ranker, users: Int32, seen: csr_matrix, test: csr_matrix) -> Float32:
    if not len(users):
        return np.empty(0, dtype=np.float32)
    return metrics.accuracy(ranker.rank(users, seen, _K), csr_matrix(test[users]), (_K,))[f"ndcg@{_K}"]


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
