"""How many factors suit how much data, where the settings leave it open."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from training.config import AlsConfig

_STEPS: Final = (16, 32, 64, 128, 192, 256)
"""More cost a miss too much time to be a default."""
_DIVISOR: Final = 7.5


def sized(config: AlsConfig, confidence: csr_matrix) -> AlsConfig:
    """The settings with a number of factors: as they are, or with `factors_for` where they have 0.

    `confidence` float32 users × items, signed, as `fit_als` takes it.
    """
    if config.factors:
        return config
    return config.model_copy(update={"factors": factors_for(int((confidence.data > 0).sum()))})


def factors_for(n_positive: int) -> int:
    """The number of factors for so many positive pairs: the step nearest to √pairs / 7.5, by ratio.

    A rule of thumb from validation parts: below 100,000 pairs 16 to 128 factors were alike, and of the 895,000 pairs of
    MovieLens 1M 128 were better than 64 and as good as 192 (docs/training.md, "Tuning").
    """
    wanted = np.sqrt(max(n_positive, 1)) / _DIVISOR
    return _STEPS[int(np.argmin(np.abs(np.log(_STEPS) - np.log(wanted))))]
