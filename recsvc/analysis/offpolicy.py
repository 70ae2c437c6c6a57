"""What another policy would have earned, from what a logged one did: IPS, SNIPS and the doubly robust estimate.

Dudík, Langford, Li, "Doubly robust policy evaluation and learning" (ICML 2011); Swaminathan, Joachims, "The
self-normalized estimator for counterfactual learning" (NIPS 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from recsvc.analysis.errors import SupportMissing
from recsvc.bundle.types import Float64, Int64

MISSING_SHARE: Final = 0.01
"""More than this share of the other policy's choices without support, and nothing is estimated."""

LEAST_EFFECTIVE: Final = 100.0
"""Effective samples; with fewer the estimate is that of a handful of rows."""

_FOLDS: Final = 2
_PRIOR_ROWS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Logged:
    """What the logged policy did: `reward` and `propensity` (its own probability of the action it took) float64 (n,),
    `action` and `slot` (the place in the list, or any other context) int64 (n,)."""

    reward: Float64
    propensity: Float64
    action: Int64
    slot: Int64

    def __len__(self) -> int:
        return len(self.reward)


@dataclass(frozen=True, slots=True)
class Value:
    """Expected reward a row, with a 95 % interval by the normal approximation."""

    name: str
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """`effective` sample size (Σw)²/Σw² of `rows`; `largest_weight`; `missing` the share of the other policy's choices
    that the logged one never made."""

    rows: int
    effective: float
    largest_weight: float
    missing: float
    values: tuple[Value, ...]


def ips(reward: Float64, weight: Float64) -> Value:
    """Inverse propensity scoring: Σwr/n."""
    return _value("IPS", weight * reward)


def snips(reward: Float64, weight: Float64) -> Value:
    """Self-normalised: Σwr/Σw; the interval by the delta method."""
    estimate = float((weight * reward).sum() / weight.sum())
    return _value("SNIPS", weight * (reward - estimate) / weight.mean(), estimate)


def effective_sample_size(weight: Float64) -> float:
    """(Σw)²/Σw²: how many unweighted rows would vary as little."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def doubly_robust(logged: Logged, target: Float64, weight: Float64) -> Value:
    """Direct model plus weighted residual. `target` float64 (n_slots, n_actions): the other policy's probabilities.

    The model is the mean reward of action and slot, drawn to that of the slot by `_PRIOR_ROWS` rows. Each half of the
    rows is judged by the model of the other half, so no row explains itself.
    """
    fold = np.arange(len(logged)) % _FOLDS
    parts = np.empty(len(logged))
    for part in range(_FOLDS):
        here = fold == part
        model = _direct_model(logged, ~here, target.shape)
        slot, action = logged.slot[here], logged.action[here]
        direct = (target * model).sum(axis=1)[slot]
        parts[here] = direct + weight[here] * (logged.reward[here] - model[slot, action])
    return _value("DR", parts)


def estimate(logged: Logged, target: Float64) -> OffPolicy:
    """The value of a policy with probabilities `target` (n_slots, n_actions), each row summing to 1.

    Raises `SupportMissing` where a propensity is missing, where the logged policy never did more than `MISSING_SHARE`
    of what the other one would do, or where fewer than `LEAST_EFFECTIVE` samples are left.
    """
    unknown = int((~(logged.propensity > 0)).sum())
    if unknown or not len(logged):
        raise SupportMissing(
            f"{unknown} of {len(logged)} rows have no propensity above 0: they were chosen without chance, so nothing "
            "can be said of what was not chosen; log an exploration slice with its propensities"
        )
    missing = _missing_share(logged, target)
    if missing > MISSING_SHARE:
        raise SupportMissing(
            f"{missing:.1%} of the other policy's choices were never made by the logged one (at most "
            f"{MISSING_SHARE:.0%} may be missing); log more, or explore more widely"
        )
    weight = target[logged.slot, logged.action] / logged.propensity
    effective = effective_sample_size(weight) if weight.any() else 0.0
    if effective < LEAST_EFFECTIVE:
        raise SupportMissing(
            f"{len(logged)} rows are worth {effective:.1f} of the other policy's own, and {LEAST_EFFECTIVE:.0f} are "
            f"needed: the largest weight is {weight.max():.0f}; log more, or compare policies that are closer"
        )
    values = ips(logged.reward, weight), snips(logged.reward, weight), doubly_robust(logged, target, weight)
    return OffPolicy(len(logged), effective, float(weight.max()), missing, values)


def on_policy(reward: Float64) -> Value:
    """What a policy earned by its own log."""
    return _value("on-policy", reward)


def _missing_share(logged: Logged, target: Float64) -> float:
    """Each slot weighs as much as it has rows."""
    tried = np.zeros(target.shape, np.bool_)
    tried[logged.slot, logged.action] = True
    share = np.bincount(logged.slot, minlength=len(target)) / len(logged)
    return float((np.where(tried, 0.0, target).sum(axis=1) * share).sum())


def _direct_model(logged: Logged, rows: np.ndarray[tuple[int], np.dtype[np.bool_]], shape: tuple[int, ...]) -> Float64:
    cell = logged.slot[rows] * shape[1] + logged.action[rows]
    seen = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    earned = np.bincount(cell, logged.reward[rows], minlength=shape[0] * shape[1]).reshape(shape)
    of_slot = earned.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    model: Float64 = (earned + _PRIOR_ROWS * of_slot[:, None]) / (seen + _PRIOR_ROWS)
    return model


def _value(name: str, parts: Float64, mean: float | None = None) -> Value:
    """The mean of independent parts (n,), or `mean` where they are its influence."""
    middle = float(parts.mean()) if mean is None else mean
    half = float(stats.norm.isf(0.025)) * float(parts.std(ddof=1)) / math.sqrt(len(parts))
    return Value(name, middle, (middle - half, middle + half))
