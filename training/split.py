"""Holding out the test part: by time, the last item of each user, or as the data set's authors gave it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.bundle.types import Bool, Float32, Float64
from recsvc.events.schema import TYPE_CODES
from training.config import SplitConfig
from training.errors import DataInvalid
from training.matrix import build_matrix, event_weights, popularity_of
from training.sources.dataset import Candidates, Dataset, Events


@dataclass(frozen=True, slots=True)
class Split:
    """A training part and the held-out positives.

    `train` float32 users × items signed confidence; `seen` float32 users × items, 1 for each pair consumed in the
    training part; `test` float32 users × items, 1 for each held-out positive, never in `seen`; `popularity` float32
    (n_items,) summed positive training weight; `notes` counts of what was left out, and where the cut lies; `dataset`
    and `held_out` bool (events,) what it was made of.
    """

    kind: str
    train: csr_matrix
    seen: csr_matrix
    test: csr_matrix
    popularity: Float32
    candidates: Candidates | None
    notes: dict[str, float]
    dataset: Dataset | None = None
    held_out: Bool | None = None

    def training_events(self) -> Dataset:
        """The data set without what is held out, for what is to be learnt inside the training part.

        Raises ValueError for a split that was not made of events.
        """
        if self.dataset is None or self.held_out is None:
            raise ValueError(f"this {self.kind} split does not know its events: make it with split_off")
        return without(self.dataset, self.held_out)


def make_split(dataset: Dataset, config: SplitConfig, recipe: ConfidenceRecipe) -> Split:
    """Splits a data set. Test pairs are positive, new to their user, and of users and items met in training.

    Raises DataInvalid when the kind asked for needs what the data lacks, or when nothing is left to test on.
    """
    kind, held_out = _held_out(dataset, config, event_weights(dataset.events, recipe))
    split = split_off(dataset, held_out, recipe, kind)
    if split.test.nnz == 0:
        raise DataInvalid(
            f"{dataset.name}: the {kind} split leaves no held-out interaction to evaluate on; "
            "give more events, or another split.kind or split.test_share in the settings"
        )
    return split


def events_held_out(dataset: Dataset, config: SplitConfig, recipe: ConfidenceRecipe) -> Bool:
    """Which events are the test part's, those that cannot be tested on included; bool (n,). Raises DataInvalid as
    `make_split` does for a kind that the data lacks."""
    return _held_out(dataset, config, event_weights(dataset.events, recipe))[1]


def split_off(dataset: Dataset, held_out: Bool, recipe: ConfidenceRecipe, kind: str) -> Split:
    """The split that holds out the events marked in `held_out`, bool (n,); its test part may be empty.

    Weights decay to the last event that is left.
    """
    events = dataset.events
    weights = event_weights(events, recipe)
    as_of = float(events.timestamps[~held_out].max()) if events.has_time and (~held_out).any() else None
    matrix = build_matrix(events, recipe, as_of, ~held_out)
    seen = matrix.seen
    test, notes = _test_pairs(events, weights, held_out, seen)
    if as_of is not None:
        notes["cut (Unix seconds)"] = as_of
    return Split(
        kind=kind,
        train=matrix.training,
        seen=seen,
        test=test,
        popularity=popularity_of(matrix, events, recipe, as_of, ~held_out),
        candidates=dataset.candidates,
        notes=notes,
        dataset=dataset,
        held_out=held_out,
    )


def split_between(dataset: Dataset, recipe: ConfidenceRecipe, cut: float, until: float) -> Split:
    """Trains to a moment and tests on what follows, test pairs as in `make_split`; there may be none.

    `cut` and `until` Unix seconds: events up to `cut` are the training part, decayed to the last of them, those after
    it and up to `until` are held out, the rest is left out. Every event has to have a time.
    """
    window = without(dataset, dataset.events.timestamps > until)
    return split_off(window, window.events.timestamps > cut, recipe, "temporal")


def without(dataset: Dataset, held_out: Bool) -> Dataset:
    """The data set without the events marked in `held_out`, bool (n,), without the given test marks and candidates.

    Ids and rows stay as they are, so a user may have no event left. The fingerprint is one of its own: it changes with
    the data and with which events are left.
    """
    kept = ~held_out
    events = dataset.events
    left = replace(
        events,
        users=events.users[kept],
        items=events.items[kept],
        types=events.types[kept],
        timestamps=events.timestamps[kept],
        values=events.values[kept],
    )
    digest = hashlib.sha256(dataset.fingerprint.encode("ascii") + np.packbits(kept).tobytes())
    return replace(dataset, events=left, fingerprint=digest.hexdigest(), given_test=None, candidates=None)


def after_cut(events: Events, share: float) -> Bool:
    """The events after the moment that leaves `share` of them (impressions aside) behind it; bool (n,)."""
    acts = events.types != TYPE_CODES["impression"]
    cut = np.quantile(events.timestamps[acts] if acts.any() else events.timestamps, 1.0 - share)
    held_out: Bool = events.timestamps > cut
    return held_out


def _held_out(dataset: Dataset, config: SplitConfig, weights: Float64) -> tuple[str, Bool]:
    kind = _kind(dataset, config.kind)
    if kind == "given":
        assert dataset.given_test is not None  # noqa: S101 - _kind has checked it
        return kind, dataset.given_test
    if kind == "temporal":
        return kind, after_cut(dataset.events, config.test_share)
    return kind, _last_of_each_user(dataset.events, weights)


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
