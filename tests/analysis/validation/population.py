"""Simulated users, and what they did: the columns of the user table."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.analysis.metrics import METRICS
from recsvc.bundle.types import Float64

TASTE: Final = (2.0, 18.0)
"""Beta parameters of a user's chance to view what is shown: 10 % on average."""

LIFT: Final = 0.05
"""What a treatment that works adds to every rate of the model, as a share."""

TRUTH: Final[dict[str, float]] = {"ctr": 0.1, "positives": 0.8, "active_days": 2.0, "hides": 0.5}
"""Expected value of some metrics without a treatment; a treatment's effect on them is `LIFT` times that."""

Columns = dict[str, Float64]


def users(rng: np.random.Generator, count: int, lift: float = 0.0) -> Columns:
    """The table of `count` users: outcomes, raised by `lift`, and covariates of the weeks before, which are not."""
    activity = rng.gamma(2.0, 0.5, count)
    taste = rng.beta(*TASTE, count)
    known = rng.random(count) < 0.8  # the others are new: they have no past
    before = _did(rng, activity * 2, taste, 0.0)
    return _did(rng, activity, taste, lift) | {f"before_{name}": values * known for name, values in before.items()}


def split(table: Columns, treated: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Columns, Columns]:
    """Control and treatment."""
    return (
        {name: values[~treated] for name, values in table.items()},
        {name: values[treated] for name, values in table.items()},
    )


def columns_of(metric: str, table: Columns) -> Columns:
    """What the report hands over of a metric."""
    names = METRICS[metric].columns
    return {name: table[name] for name in (*names, *(f"before_{name}" for name in names))}


def _did(rng: np.random.Generator, activity: Float64, taste: Float64, lift: float) -> Columns:
    count = len(activity)
    up = 1 + lift
    impressions = rng.poisson(20 * activity)
    clicks = rng.binomial(impressions, np.minimum(taste * up, 1))
    completions = rng.binomial(clicks, 0.7)
    surveys = rng.random(count) < 0.1
    return {
        "impressions": impressions * 1.0,
        "clicks": clicks * 1.0,
        "views": clicks + rng.poisson(0.5, count) * 1.0,
        "positives": rng.poisson(0.8 * activity * up) * 1.0,
        "completions": completions * 1.0,
        # The sum of as many Beta(2, 2) values as were completed, up to its first two moments.
        "completion": np.clip(rng.normal(0.5 * completions, np.sqrt(0.05 * completions)), 0, completions),
        "active_days": rng.binomial(7, 2 / 7 * up, count) * 1.0,
        "sessions": rng.poisson(1.5 * activity * up) * 1.0,
        "hides": rng.poisson(0.5 * activity * up) * 1.0,
        "reports": rng.poisson(0.03 * activity) * 1.0,
        "unsubscribes": (rng.random(count) < 0.02) * 1.0,
        "surveys": surveys * 1.0,
        "survey": surveys * rng.integers(1, 6, count) * 1.0,
    }
