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


def session_confidence(
    recipe: ConfidenceRecipe,
    item_rows: Int32,
    types: Sequence[str],
    values: Float32,
    timestamps: Float64,
    as_of: float,
) -> tuple[Int32, Float32]:
    """One user's recent events as interactions: (distinct item rows int32, signed confidence float32).

    `item_rows` int32 (n,), `types` n event types, `values` float32 (n,) and `timestamps` float64 (n,) with NaN
    where there is none. Pairs that fade out are dropped.
    """
    weights: Float64 = np.array([recipe.event_weights.get(name, 0.0) for name in types], dtype=np.float64)
    valued = np.array([name in VALUED_TYPES for name in types], dtype=bool) & ~np.isnan(values)
    weights = np.where(valued, weights * np.maximum(values, 0.0), weights) * decay(
        timestamps, as_of, recipe.half_life_days
    )
    rows, inverse = np.unique(item_rows, return_inverse=True)
    summed = np.bincount(inverse, weights=weights, minlength=len(rows)).astype(np.float64)
    confidence, kept = signed_confidence(summed, recipe)
    return rows[kept].astype(np.int32), confidence[kept]
