"""What the sample's users do with what they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Float64, Int64
from recsvc.events.schema import TYPE_CODES
from training.sample.feed import Impressions
from training.sample.world import DAY_SECONDS, Items, Users

POSITION_DECAY: Final = 0.12
PLAY_BIAS: Final = -2.2
COMPLETION_SLOPE: Final = 0.6
COMPLETION_BIAS: Final = -0.6
COMPLETION_CONCENTRATION: Final = 4.0
FINISHED_FROM: Final = 0.9
SKIP_CHANCE: Final = 0.25
NOT_INTERESTED: Final = (-4.5, -0.8)
AFTER_PLAY: Final = {
    "like": (-3.4, 0.7),
    "comment": (-5.2, 0.6),
    "share": (-5.0, 0.6),
    "save": (-4.8, 0.6),
    "follow": (-5.5, 0.7),
}
"""Event type → (bias, slope) of its log odds in the affinity."""


@dataclass(frozen=True, slots=True)
class Acts:
    """Events, ordered by time: `impression` the row of `Impressions` that each belongs to; `type` its code; `time`
    milliseconds since the period's start; `value` float64, NaN where the type has none.
    """

    impression: Int64
    type: Int64
    time: Int64
    value: Float64


def examination(position: Int64) -> Float64:
    """The probability that a slot is looked at: 1 for the first, less for each after."""
    return 1.0 / (1.0 + POSITION_DECAY * (position.astype(np.float64) - 1.0))


def play_chance(affinity: Float64) -> Float64:
    """The probability that a slot is played once it is looked at."""
    return _sigmoid(PLAY_BIAS + affinity)


def act(
    rng: np.random.Generator, users: Users, items: Items, shown: Impressions, days: int, *, unseen: bool = True
) -> Acts:
    """The events of all impressions, each at its moment of the visit; with `unseen`, slots that nobody looked at have
    an impression, too."""
    count = len(shown.item)
    affinity = users.affinity(shown.user, items, shown.item, shown.start / days)
    looked = rng.random(count) < examination(shown.position)
    played = looked & (rng.random(count) < play_chance(affinity))
    mean = _sigmoid(COMPLETION_BIAS + COMPLETION_SLOPE * affinity)
    completion = rng.beta(COMPLETION_CONCENTRATION * mean, COMPLETION_CONCENTRATION * (1.0 - mean))
    length_seconds = rng.uniform(20.0, 60.0, size=count)
    dwell = np.where(played, length_seconds * completion, np.where(looked, 1.5, 0.5)) + 0.5
    began = shown.start * DAY_SECONDS + _elapsed(shown.visit, dwell)
    left = began + dwell
    passed = looked & ~played
    acted: list[tuple[str, Bool, Float64]] = [
        ("impression", looked | unseen, began),
        ("view", played, left),
        ("finish", played & (completion >= FINISHED_FROM), left + 0.01),
        ("skip", passed & (rng.random(count) < SKIP_CHANCE), left),
    ]
    bias, slope = NOT_INTERESTED
    acted.append(("not_interested", passed & (rng.random(count) < _sigmoid(bias + slope * affinity)), left + 0.02))
    for order, (name, (bias, slope)) in enumerate(AFTER_PLAY.items()):
        chosen = played & (rng.random(count) < _sigmoid(bias + slope * affinity))
        acted.append((name, chosen, left + 0.03 + 0.01 * order))
    return _in_time(acted, completion)


def _in_time(acted: list[tuple[str, Bool, Float64]], completion: Float64) -> Acts:
    impression = np.concatenate([np.flatnonzero(chosen) for _, chosen, _ in acted])
    kind = np.concatenate([np.full(int(chosen.sum()), TYPE_CODES[name]) for name, chosen, _ in acted])
    seconds = np.concatenate([moment[chosen] for _, chosen, moment in acted])
    time = np.floor(seconds * 1000.0).astype(np.int64)
    order = np.lexsort((impression, time))
    impression, kind = impression[order], kind[order]
    value = np.where(kind == TYPE_CODES["view"], np.round(completion[impression], 3), np.nan)
    return Acts(impression, kind, time[order], value)


def _elapsed(visit: Int64, dwell: Float64) -> Float64:
    """The seconds from the start of the visit to each impression; float64 (n,)."""
    before = np.cumsum(dwell) - dwell
    elapsed: Float64 = before - before[np.searchsorted(visit, visit)]
    return elapsed


def _sigmoid(x: Float64) -> Float64:
    return 1.0 / (1.0 + np.exp(-x))
