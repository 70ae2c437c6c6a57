"""Many comparisons at once: which of them still count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import false_discovery_control

FALSE_DISCOVERIES: Final = 0.05
"""Of what a family of secondary comparisons calls different, at most this share is expected not to be."""


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values, in the order given; below `FALSE_DISCOVERIES` a comparison counts."""
    return [float(value) for value in false_discovery_control(np.asarray(p_values))] if p_values else []
