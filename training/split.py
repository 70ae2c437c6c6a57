"""Holding out the test part: by time, the last item of each user, or as the data set's authors gave it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.bundle.types import Bool, Float32, Float64
from recsvc.events.schema import TYPE_CODES
from training.config import SplitConfig
from training.errors import DataInvalid
from training.matrix import build_matrix, event_weights
from training.sources.dataset import Candidates, Dataset, Events


@dataclass(frozen=True, slots=True)
class Split:
    """A training part and the held-out positives.

    `train` float32 users × items signed confidence; `seen` float32 users × items, 1 for each pair consumed in the
    training part; `test` float32 users × items, 1 for each held-out positive, never in `seen`; `popularity` float32
    (n_items,) summed positive training weight; `notes` counts of what was left out, and where the cut lies.
    """

    kind: str
    train: csr_matrix
    seen: csr_matrix
    test: csr_matrix
    popularity: Float32
    candidates: Candidates | None
    notes: dict[str, float]


def make_split(dataset: Dataset, config: SplitConfig, recipe: ConfidenceRecipe) -> Split:
    """Splits a data set. Test pairs are positive, new to their user, and of users and items met in training.

    Raises DataInvalid when the kind asked for needs what the data lacks, or when nothing is left to test on.
    """
    events = dataset.events
    kind = _kind(dataset, config.kind)
    weights = event_weights(events, recipe)
    if kind == "given":
        assert dataset.given_test is not None  # noqa: S101 - _kind has checked it
        held_out = dataset.given_test
    elif kind == "temporal":
        held_out = _after_cut(events, config.test_share)
    else:
        held_out = _last_of_each_user(events, weights)
    split = _parted(kind, events, weights, ~held_out, held_out, recipe)
    if split.test.nnz == 0:
        raise DataInvalid(
            f"{dataset.name}: the {kind} split leaves no held-out interaction to evaluate on; "
            "give more events, or another split.kind or split.test_share in the settings"
        )
    return replace(split, candidates=dataset.candidates)


def split_between(dataset: Dataset, recipe: ConfidenceRecipe, cut: float, until: float) -> Split:
    """Trains to a moment and tests on what follows, test pairs as in `make_split`; there may be none.

    `cut` and `until` Unix seconds: events up to `cut` are the training part, decayed to the last of them, those after
    it and up to `until` are held out, the rest is left out. Every event has to have a time.
    """
    events = dataset.events
    held_out = (events.timestamps > cut) & (events.timestamps <= until)
    return _parted("temporal", events, event_weights(events, recipe), events.timestamps <= cut, held_out, recipe)


def _parted(
    kind: str, events: Events, weights: Float64, training: Bool, held_out: Bool, recipe: ConfidenceRecipe
) -> Split:
    as_of = float(events.timestamps[training].max()) if events.has_time and training.any() else None
    matrix = build_matrix(events, recipe, as_of, training)
    seen = matrix.seen
    test, notes = _test_pairs(events, weights, held_out, seen)
    if as_of is not None:
        notes["cut (Unix seconds)"] = as_of
    return Split(
        kind=kind,
        train=matrix.training,
        seen=seen,
        test=test,
        popularity=matrix.popularity(recipe.unobserved_weight),
        candidates=None,
        notes=notes,
    )


def _kind(dataset: Dataset, asked: str) -> str:
    if asked == "auto":
        if dataset.given_test is not None:
            return "given"
        return "temporal" if dataset.events.has_time else "leave_last_out"
    if asked == "given" and dataset.given_test is None:
        raise DataInvalid(f"{dataset.name}: publishes no test part; set split.kind to temporal or leave_last_out")
    if asked == "temporal" and not dataset.events.has_time:
        raise DataInvalid(f"{dataset.name}: not every event has a timestamp; set split.kind to leave_last_out")
    return asked


def _after_cut(events: Events, test_share: float) -> Bool:
    acts = events.types != TYPE_CODES["impression"]
    cut = np.quantile(events.timestamps[acts] if acts.any() else events.timestamps, 1.0 - test_share)
    held_out: Bool = events.timestamps > cut
    return held_out


def _last_of_each_user(events: Events, weights: Float64) -> Bool:
    order = np.lexsort((np.arange(len(events)), np.nan_to_num(events.timestamps), events.users))
    positive = order[weights[order] > 0]
    users = events.users[positive]
    is_last = np.ones(len(users), dtype=bool)
    is_last[:-1] = users[1:] != users[:-1]
    last_item = np.full(len(events.user_ids), -1, dtype=np.int64)
    last_item[users[is_last]] = events.items[positive[is_last]]
    # Every event of the pair is held out, so that the item is new to the user in the training part.
    held_out: Bool = events.items == last_item[events.users]
    return held_out


def _test_pairs(
    events: Events,
    weights: Float64,
    held_out: Bool,
    seen: csr_matrix,
) -> tuple[csr_matrix, dict[str, float]]:
    summed = csr_matrix((weights[held_out], (events.users[held_out], events.items[held_out])), shape=seen.shape).tocoo()
    positive = summed.data > 0
    users, items = summed.row[positive], summed.col[positive]
    warm_user = np.diff(seen.indptr) > 0
    warm_item = np.bincount(seen.indices, minlength=seen.shape[1]) > 0
    known_user, known_item = warm_user[users], warm_item[items]
    kept = known_user & known_item
    users, items = users[kept], items[kept]
    test = csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=seen.shape)
    repeated = test.multiply(seen)
    test = csr_matrix(test - repeated)
    test.eliminate_zeros()
    test.sort_indices()
    notes = {
        "held-out pairs": float(test.nnz),
        "test users": float((np.diff(test.indptr) > 0).sum()),
        "left out: user not in training": float((~known_user).sum()),
        "left out: item not in training": float((known_user & ~known_item).sum()),
        "left out: already consumed in training": float(repeated.nnz),
    }
    return test, notes
