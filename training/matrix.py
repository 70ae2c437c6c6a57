"""Events to the training matrix, and to what the non-personal lists are ordered by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.bundle.types import Bool, Float32, Float64
from recsvc.events.schema import EVENT_TYPES, TYPE_CODES
from recsvc.scoring.confidence import SECONDS_PER_DAY, VALUED_TYPES, decay, signed_confidence
from training.sources.dataset import Events

_FADED = -1.0  # the confidence of an absent pair with a preference of 0: changes nothing in the objective


@dataclass(frozen=True, slots=True)
class Matrix:
    """The interactions of a set of events.

    `confidence` float32 users × items, signed, every consumed pair, -1 where the weight has faded; sorted indices.
    """

    confidence: csr_matrix

    @property
    def training(self) -> csr_matrix:
        """The pairs that carry a preference: what is fitted. float32 users × items."""
        matrix = self.confidence.copy()
        matrix.data[np.abs(matrix.data) <= 1.0] = 0.0
        matrix.eliminate_zeros()
        return matrix

    @property
    def seen(self) -> csr_matrix:
        """1 for every consumed pair; float32 users × items."""
        ones = np.ones_like(self.confidence.data)
        return csr_matrix((ones, self.confidence.indices, self.confidence.indptr), shape=self.confidence.shape)

    def popularity(self, unobserved_weight: float) -> Float32:
        """The summed positive weight of each item; float32 (n_items,)."""
        weights = np.maximum(self.confidence.data - 1.0, 0.0) * unobserved_weight
        summed = np.bincount(self.confidence.indices, weights=weights, minlength=self.confidence.shape[1])
        return summed.astype(np.float32)


def event_weights(events: Events, recipe: ConfidenceRecipe) -> Float64:
    """The undecayed weight of each event; float64 (n,)."""
    per_type = np.array([recipe.event_weights.get(name, 0.0) for name in EVENT_TYPES])
    weights = per_type[events.types]
    valued = np.isin(events.types, [TYPE_CODES[name] for name in VALUED_TYPES]) & ~np.isnan(events.values)
    weights[valued] *= np.maximum(events.values[valued], 0.0)
    return weights


def build_matrix(events: Events, recipe: ConfidenceRecipe, as_of: float | None, chosen: Bool | None = None) -> Matrix:
    """Sums the decayed weights of each user-item pair and turns them into signed confidences.

    `as_of` Unix seconds to which weights decay, None for no decay; `chosen` bool (n,) picks events, None takes all.
    An impression consumes nothing, so it makes no pair.
    """
    used = events.types != TYPE_CODES["impression"]
    if chosen is not None:
        used = used & chosen
    weights = event_weights(events, recipe)[used]
    if events.has_time:
        weights *= decay(events.timestamps[used], as_of, recipe.half_life_days)
    shape = (len(events.user_ids), len(events.item_ids))
    pairs = coo_matrix((weights, (events.users[used], events.items[used])), shape=shape).tocsr()
    pairs.sort_indices()
    confidence, kept = signed_confidence(pairs.data, recipe)
    confidence[~kept] = _FADED
    return Matrix(csr_matrix((confidence, pairs.indices, pairs.indptr), shape=shape))


def popularity_of(
    matrix: Matrix, events: Events, recipe: ConfidenceRecipe, as_of: float | None, chosen: Bool | None = None
) -> Float32:
    """The summed positive weight of each item; float32 (n_items,).

    That of the matrix, which was built with the same arguments. With a half-life of its own popularity is the sum over
    the events instead: pairs are neither cut at the cap nor faded out, since a day would fade out most of them.
    """
    if recipe.popularity_half_life_days is None or as_of is None or not events.has_time:
        return matrix.popularity(recipe.unobserved_weight)
    weights = np.maximum(event_weights(events, recipe), 0.0)
    weights *= decay(events.timestamps, as_of, recipe.popularity_half_life_days)
    if chosen is not None:
        weights[~chosen] = 0.0
    return np.bincount(events.items, weights=weights, minlength=len(events.item_ids)).astype(np.float32)


def trending_scores(
    events: Events, recipe: ConfidenceRecipe, as_of: float | None, short_days: float, long_days: float
) -> Float32:
    """How far each item's recent rate of positive weight is above its longer run; float32 (n_items,), 0 if not.

    With s and l the exponentially weighted daily rates of the short and the long half-life:
    (s − l)/√(l + r), r the mean long rate of the items that have one, so that a handful of events on a quiet item
    does not lead. All 0 when the data has no times.
    """
    n_items = len(events.item_ids)
    if as_of is None or not events.has_time:
        return np.zeros(n_items, dtype=np.float32)
    weights = np.maximum(event_weights(events, recipe), 0.0)
    short = _daily_rate(events, weights, as_of, short_days)
    long = _daily_rate(events, weights, as_of, long_days)
    prior = float(long[long > 0].mean()) if (long > 0).any() else 1.0
    return np.maximum((short - long) / np.sqrt(long + prior), 0.0).astype(np.float32)


def _daily_rate(events: Events, weights: Float64, as_of: float, half_life_days: float) -> Float64:
    decayed = weights * decay(events.timestamps, as_of, half_life_days)
    # ∫ 2^(−t/h) dt = h / ln 2, or less when the log is younger than that
    span = max((as_of - float(events.timestamps.min())) / SECONDS_PER_DAY, 1.0)
    days = half_life_days / np.log(2) * (1.0 - np.exp2(-span / half_life_days))
    rate: Float64 = np.bincount(events.items, weights=decayed, minlength=len(events.item_ids)) / days
    return rate
