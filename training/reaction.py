"""How fast a model gets to know somebody: users it never saw, a few of their events folded in, their later items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.bundle.types import Bool, Float32, Float64, Int32, Int64
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.scoring.confidence import combined
from recsvc.scoring.foldin import effective_regularization, fold_in
from training import metrics
from training.blend import learn_blend
from training.compare import PairedComparison, paired
from training.config import RunConfig
from training.errors import DataInvalid
from training.fitted import FittedModel, fit_model, scorer_of
from training.matrix import Matrix, build_matrix, event_weights
from training.progress import Progress
from training.rankers import PopularityRanker, best
from training.sources.dataset import Dataset, Events
from training.split import without

STEPS: Final = (0, 1, 2, 3, 5, 10)
"""After how many events somebody is measured; after none everybody gets the popular items, as from the service."""
_LEAST_ITEMS: Final = 15
_PARTS: Final = 5
_K: Final = 10


History: TypeAlias = tuple[Int32, Float32]
"""Distinct item rows, and the signed confidence of each."""


class HistoryScorer(Protocol):
    """A fitted model that scores all items for somebody of whom it knows nothing but a history."""

    def scores(self, histories: Sequence[History]) -> Float32:
        """float32 (len(histories), n_items), the higher the better; the caller may write into it."""
        ...


Fitting: TypeAlias = Callable[[Dataset, Matrix, RunConfig, Progress], HistoryScorer]
"""Fits a model to the users that are not held out: their events, and the matrix of these."""


class FoldedIn:
    """A model of any kind, and histories folded in and scored by the service's own code."""

    def __init__(self, model: FittedModel, config: RunConfig) -> None:
        self._factors = model.factors
        self._objective = config.objective()
        self._scorer = scorer_of(model)

    def scores(self, histories: Sequence[History]) -> Float32:
        """See `HistoryScorer.scores`."""
        n_items = len(self._factors.items)
        found = np.empty((len(histories), n_items), dtype=np.float32)
        everything = np.arange(n_items, dtype=np.int32)
        for place, (items, confidence) in enumerate(histories):
            regularization = effective_regularization(self._objective, n_items, confidence)
            vector = fold_in(self._factors.gram, self._factors.items, items, confidence, regularization).vector
            if self._scorer is None:
                found[place] = self._factors.items @ vector
            else:
                found[place] = self._scorer.score(vector, items[confidence > 0], everything)
        return found


def fit_and_fold(others: Dataset, matrix: Matrix, config: RunConfig, progress: Progress) -> FoldedIn:
    """The kind of model that the settings name, as `Fitting`; a blend learns its weights from the others too."""
    learned = learn_blend(others, config, progress) if config.model.kind == "blend" else None
    popularity = matrix.popularity(config.interactions.unobserved_weight)
    model = fit_model(matrix.training, popularity, config, blend=learned.blend if learned else None)
    return FoldedIn(model, config)


@dataclass(frozen=True, slots=True)
class Reaction:
    """`steps[k]` popularity against the model after k events, NDCG@10 over the same `n_users` held-out users."""

    name: str
    n_users: int
    steps: dict[int, PairedComparison]


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The users measured: `first` their first events, one array of event rows each, in order; `seen` and `wanted` CSR
    (len(first), n_items): the items of the first events, and those liked after them."""

    first: list[Int64]
    seen: csr_matrix
    wanted: csr_matrix


def measure_reaction(
    dataset: Dataset, config: RunConfig, progress: Progress, fitting: Fitting = fit_and_fold
) -> Reaction:
    """Holds users out entirely, fits on the others, and folds the held-out users' first events in, one after another.

    The users with at least 15 items they like are dealt into five parts by the seed of the settings; each part is
    measured by a model fitted without it. A user's items after the tenth event, of those that the others have too, are
    to be ranked first among all items but those of the first ten events, whatever the number folded in; popularity
    ranks the same, and is the model's own list after no event. Weights and λ are the recipe's, without its decay: the
    others' events lie before and after a user's own, so there is no moment to decay to. `fitting` makes what is
    measured. Raises DataInvalid where the data has no times or too few users.
    """
    if not dataset.events.has_time:
        raise DataInvalid(f"{dataset.name}: not every event has a time, so nobody's first events are known")
    undecayed = config.interactions.model_copy(update={"half_life_days": 0.0, "popularity_half_life_days": 0.0})
    config = config.model_copy(update={"interactions": undecayed})
    weights = event_weights(dataset.events, undecayed.recipe())
    baseline: list[Float32] = []
    model: dict[int, list[Float32]] = {k: [] for k in STEPS}
    parts = _parts(dataset.events, weights, config.als.seed)
    for number, chosen in enumerate(parts, start=1):
        with progress.stage(f"part {number} of {len(parts)}: {len(chosen):,} users held out"):
            popular, folded = _measured(dataset, chosen, weights, config, progress, fitting)
        baseline.append(popular)
        for k in STEPS:
            model[k].append(folded[k])
    values = np.concatenate(baseline) if baseline else np.empty(0, dtype=np.float32)
    if not len(values):
        raise DataInvalid(f"{dataset.name}: no user has {_LEAST_ITEMS} items and later ones that others have too")
    steps = {k: paired(values, np.concatenate(model[k]), seed=config.als.seed) for k in STEPS}
    return Reaction(dataset.name, len(values), steps)


def _parts(events: Events, weights: Float64, seed: int) -> list[Int32]:
    shape = (len(events.user_ids), len(events.item_ids))
    liked = csr_matrix((weights, (events.users, events.items)), shape=shape)
    n_liked = np.bincount(np.repeat(np.arange(shape[0]), np.diff(liked.indptr)), weights=liked.data > 0)
    eligible = np.random.default_rng(seed).permutation(np.flatnonzero(n_liked >= _LEAST_ITEMS))
    return [np.sort(part).astype(np.int32) for part in np.array_split(eligible, _PARTS) if len(part)]


def _measured(
    dataset: Dataset, chosen: Int32, weights: Float64, config: RunConfig, progress: Progress, fitting: Fitting
) -> tuple[Float32, dict[int, Float32]]:
    """NDCG@10 of each user of one part: of popularity, and of the model after each number of events."""
    events, recipe = dataset.events, config.interactions.recipe()
    theirs = np.isin(events.users, chosen)
    matrix = build_matrix(events, recipe, None, ~theirs)
    known = np.bincount(matrix.training.indices, minlength=len(events.item_ids)) > 0
    held_out = _held_out(events, weights, chosen, known)
    if not held_out.first:
        return np.empty(0, dtype=np.float32), {k: np.empty(0, dtype=np.float32) for k in STEPS}
    model = fitting(without(dataset, theirs), matrix, config, progress)
    everybody = np.arange(held_out.wanted.shape[0], dtype=np.int32)
    popularity = PopularityRanker(matrix.popularity(recipe.unobserved_weight))
    popular = _ndcg(popularity.rank(everybody, held_out.seen, _K), held_out)
    after = {STEPS[0]: popular}
    for k in STEPS[1:]:
        scores = model.scores([_history(events, rows[:k], recipe) for rows in held_out.first])
        after[k] = _ndcg(best(_unseen(scores, held_out.seen), _K), held_out)
    return popular, after


def _held_out(events: Events, weights: Float64, chosen: Int32, known: Bool) -> _HeldOut:
    acts = np.flatnonzero(np.isin(events.users, chosen) & (events.types != TYPE_CODES["impression"]))
    acts = acts[np.lexsort((acts, events.timestamps[acts], events.users[acts]))]
    bounds = np.searchsorted(events.users[acts], [chosen, chosen + 1])
    first, seen, wanted = [], [], []
    for low, high in bounds.T.tolist():
        own, later = acts[low : low + STEPS[-1]], acts[low + STEPS[-1] : high]
        liked = later[weights[later] > 0]
        targets = np.setdiff1d(events.items[liked], events.items[own])
        targets = targets[known[targets]]
        if len(targets):
            first.append(own)
            seen.append(np.unique(events.items[own]))
            wanted.append(targets)
    n_items = len(events.item_ids)
    return _HeldOut(first, _binary(seen, n_items), _binary(wanted, n_items))


def _binary(rows: list[Int32], n_items: int) -> csr_matrix:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    indices = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
    return csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(rows), n_items))


def _history(events: Events, rows: Int64, recipe: ConfidenceRecipe) -> History:
    """What these events say of a user of whom nothing else is known, as the service adds them up."""
    nothing = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
    types = [EVENT_TYPES[code] for code in events.types[rows].tolist()]
    return combined(nothing, (events.items[rows], types, events.values[rows], events.timestamps[rows]), recipe, None)


def _unseen(scores: Float32, seen: csr_matrix) -> Float32:
    scores[np.repeat(np.arange(len(scores)), np.diff(seen.indptr)), seen.indices] = -np.inf
    return scores


def _ndcg(ranked: Int32, held_out: _HeldOut) -> Float32:
    return metrics.accuracy(ranked, held_out.wanted, (_K,))[f"ndcg@{_K}"]
