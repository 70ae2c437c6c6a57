"""From events to confidence: one rule, used on millions of events in training and on a few in fold-in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsvc.bundle.manifest import ConfidenceRecipe
from recsvc.bundle.types import Float32, Float64, Int32

SECONDS_PER_DAY = 86_400.0
VALUED_TYPES = ("view", "finish")
"""Types whose `value` (completion, or a rating scaled to 0..1) scales the event's weight; below 0 it counts as 0."""


def decay(timestamps: Float64, as_of: float | None, half_life_days: float | None) -> Float64:
    """2^(−age / half-life) per event, 1 for events after `as_of` or without a time; float64 (n,)."""
    if as_of is None or half_life_days is None:
        return np.ones(len(timestamps))
    age_days = np.clip((as_of - timestamps) / SECONDS_PER_DAY, 0.0, None)
    return np.where(np.isnan(age_days), 1.0, np.exp2(-age_days / half_life_days))


def signed_confidence(
    weights: Float64, recipe: ConfidenceRecipe
) -> tuple[Float32, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Confidence of each summed pair weight, and which pairs remain.

    ±(1 + |w|/α₀) with w cut at ±weight_cap; float32 (n,). A pair fades out (False in the mask, bool (n,)) when
    |w| < minimum_weight or w is 0: an explicit zero would be read as a preference by `implicit`.
    """
    capped = np.clip(weights, -recipe.weight_cap, recipe.weight_cap)
    kept = (np.abs(capped) >= recipe.minimum_weight) & (capped != 0)
    confidence = np.sign(capped) * (1.0 + np.abs(capped) / recipe.unobserved_weight)
    return confidence.astype(np.float32), kept


def event_weights(
    recipe: ConfidenceRecipe, types: Sequence[str], values: Float32, timestamps: Float64, as_of: float | None
) -> Float64:
    """The weight of each event under the recipe, decayed to `as_of` (1 after it); float64 (n,).

    `types` n event types, `values` float32 (n,) and `timestamps` float64 (n,) Unix seconds, NaN where there is none.
    """
    weights: Float64 = np.array([recipe.event_weights.get(name, 0.0) for name in types], dtype=np.float64)
    valued = np.array([name in VALUED_TYPES for name in types], dtype=bool) & ~np.isnan(values)
    scaled = np.where(valued, weights * np.maximum(values, 0.0), weights)
    return np.asarray(scaled * decay(timestamps, as_of, recipe.half_life_days), dtype=np.float64)


def session_confidence(
    recipe: ConfidenceRecipe,
    item_rows: Int32,
    types: Sequence[str],
    values: Float32,
    timestamps: Float64,
    as_of: float,
) -> tuple[Int32, Float32]:
    """One user's recent events as interactions: (distinct item rows int32, signed confidence float32).

    `item_rows` int32 (n,), the rest as `event_weights` takes it. Pairs that fade out are dropped.
    """
    weights = event_weights(recipe, types, values, timestamps, as_of)
    rows, inverse = np.unique(item_rows, return_inverse=True)
    summed = np.bincount(inverse, weights=weights, minlength=len(rows)).astype(np.float64)
    confidence, kept = signed_confidence(summed, recipe)
    return rows[kept].astype(np.int32), confidence[kept]


def pair_weights(confidence: Float32, recipe: ConfidenceRecipe) -> Float64:
    """The summed weights w of which `signed_confidence` made these: sign(c)·(|c| − 1)·α₀; float64 (n,).

    The confidence of a faded pair, -1, has weight 0. A weight that was cut at the cap comes back as the cap.
    """
    wide = confidence.astype(np.float64)
    return np.asarray(np.sign(wide) * (np.abs(wide) - 1.0) * recipe.unobserved_weight, dtype=np.float64)


def combined(
    history: tuple[Int32, Float32],
    news: tuple[Int32, Sequence[str], Float32, Float64],
    recipe: ConfidenceRecipe,
    as_of: float | None,
) -> tuple[Int32, Float32]:
    """A stored history with the events since: (distinct item rows int32 (m,), signed confidence float32 (m,)).

    `history` is a row of `Interactions`: item rows, ascending, and their confidence; `news` item rows int32 (n,), and
    types, values and timestamps of the events as `event_weights` takes them. The weights of a pair add up, are cut
    at the cap and become its confidence; a pair that fades out is kept with -1: seen, and without effect. The
    history comes first and in its order; what has no news keeps its stored confidence to the bit.
    """
    items, stored = history
    rows, types, values, timestamps = news
    if len(rows) == 0:
        return items, stored
    fresh, inverse = np.unique(rows, return_inverse=True)
    weights = event_weights(recipe, types, values, timestamps, as_of)
    summed = np.bincount(inverse, weights=weights, minlength=len(fresh)).astype(np.float64)
    place = np.minimum(np.searchsorted(items, fresh), max(len(items) - 1, 0))
    known = items[place] == fresh if len(items) else np.zeros(len(fresh), dtype=np.bool_)
    summed[known] += pair_weights(stored[place[known]], recipe)
    confidence, kept = signed_confidence(summed, recipe)
    confidence = np.where(kept, confidence, np.float32(-1.0))
    changed = stored.copy()
    changed[place[known]] = confidence[known]
    return (
        np.concatenate([items, fresh[~known]]).astype(np.int32),
        np.concatenate([changed, confidence[~known]]).astype(np.float32),
    )
