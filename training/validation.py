"""What settings may be chosen on: a validation part held out of the training part, which has no test event.

Whatever chooses a setting takes the data set that `training_part` returns, and so cannot see the test part.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Float64
from training.config import RunConfig
from training.errors import DataInvalid
from training.matrix import event_weights
from training.sources.dataset import Dataset, Events
from training.split import Split, after_cut, events_held_out, split_off, without

_LEAST_PAIRS: Final = 4
"""Who has fewer positive pairs keeps them all, unless the share rounds to one."""


def training_part(dataset: Dataset, config: RunConfig) -> Dataset:
    """The data set without its test part: without the test events, the given test marks and the given candidates.

    Ids and rows stay as they are, so a user may have no event left. The fingerprint is one of its own: it changes with
    the data and with which events are left. Raises DataInvalid as `make_split` does for a kind that the data lacks.
    """
    return without(dataset, events_held_out(dataset, config.split, config.interactions.recipe()))


def validation_split(part: Dataset, config: RunConfig, *, seed: int) -> Split:
    """Holds a validation part out of a training part.

    With times it is the last `validation.share` of the events ("temporal"), whatever the seed. Else it is that share of
    each user's positive pairs, at random ("random"): at least one of a user who has 4 or more. What is held out does
    not depend on decay, cap, α₀ or anything of the model, so that trials with other such settings meet the same users
    and items. Raises ValueError for a data set that still has its given test part, DataInvalid when nothing is left to
    validate on.
    """
    if part.given_test is not None or part.candidates is not None:
        raise ValueError(f"{part.name}: the test part is still in it; pass it through training_part first")
    recipe = config.interactions.recipe()
    share = config.validation.share
    if part.events.has_time:
        kind, held_out = "temporal", after_cut(part.events, share)
    else:
        kind, held_out = "random", _some_pairs(part.events, event_weights(part.events, recipe), share, seed)
    split = split_off(part, held_out, recipe, kind)
    if split.test.nnz == 0:
        raise DataInvalid(
            f"{part.name}: no interaction is left to validate on; give more events, or another validation.share in the "
            "settings"
        )
    return split


def _some_pairs(events: Events, weights: Float64, share: float, seed: int) -> Bool:
    """All events of the chosen positive pairs; bool (n,). The same pairs in whatever order the events come."""
    keys = events.users.astype(np.int64) * len(events.item_ids) + events.items
    pairs, pair_of_event = np.unique(keys, return_inverse=True)
    positive = np.bincount(pair_of_event, weights=weights, minlength=len(pairs)) > 0
    users = pairs[positive] // len(events.item_ids)
    n_pairs = np.bincount(users, minlength=len(events.user_ids))
    wanted = np.rint(share * n_pairs).astype(np.int64)
    wanted[n_pairs >= _LEAST_PAIRS] = np.maximum(wanted[n_pairs >= _LEAST_PAIRS], 1)
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    place = np.arange(len(users)) - (np.cumsum(n_pairs) - n_pairs)[users]
    chosen = np.zeros(len(pairs), dtype=np.bool_)
    chosen[np.flatnonzero(positive)[order[place < wanted[users]]]] = True
    held_out: Bool = chosen[pair_of_event]
    return held_out
