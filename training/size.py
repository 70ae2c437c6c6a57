"""How many factors suit how much data, where the settings leave it open."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from training.config import AlsConfig

_STEPS: Final = (16, 32, 64, 128, 192, 256)
"""More cost a miss too much time to be a default."""
_PAIRS_PER_SQUARE: Final = 25.0


def sized(config: AlsConfig, confidence: csr_matrix) -> AlsConfig:
    """The settings with a number of factors: as they are, or with `factors_for` where they have 0.

    `confidence` float32 users × items, signed, as `fit_als` takes it.
    """
    if config.factors:
        return config
    return config.model_copy(update={"factors": factors_for(int((confidence.data > 0).sum()))})


def factors_for(n_positive: int) -> int:
    """The number of factors for so many positive pairs: the step nearest to √pairs / 5, by ratio.

    A rule of thumb from the validation parts of five data sets (docs/training.md has the table).
    """
    wanted = np.sqrt(max(n_positive, 1) / _PAIRS_PER_SQUARE)
    return _STEPS[int(np.argmin(np.abs(np.log(_STEPS) - np.log(wanted))))]
