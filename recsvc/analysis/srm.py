"""Sample-ratio mismatch: whether the arms have the sizes that the weights say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from recsvc.analysis.definition import Variant

ALARM: Final = 0.001
"""Below this p-value the arms are not comparable, whatever their metrics show."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """`observed` and `expected` users by variant with a weight above 0; `p_value` 1 while nobody was exposed."""

    observed: dict[str, int]
    expected: dict[str, float]
    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether it is time for the alarm."""
        return self.p_value < ALARM


def sample_ratio(observed: Mapping[str, int], variants: Sequence[Variant]) -> SampleRatio:
    """Pearson's χ² of the users seen against the weights, degrees of freedom one less than arms.

    Users of a variant with weight 0 (or of none of `variants`) do not take part.
    """
    weighted = [variant for variant in variants if variant.weight > 0]
    counts = np.array([observed.get(variant.name, 0) for variant in weighted], np.float64)
    shares = np.array([variant.weight for variant in weighted])
    expected = counts.sum() * shares / shares.sum()
    p_value = float(stats.chisquare(counts, expected).pvalue) if counts.sum() and len(counts) > 1 else 1.0
    names = [variant.name for variant in weighted]
    return SampleRatio(
        dict(zip(names, counts.astype(int).tolist(), strict=True)),
        dict(zip(names, expected.tolist(), strict=True)),
        p_value,
    )
