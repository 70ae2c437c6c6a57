"""What may be tried: the settings that are searched for each kind of model, and how a proposal becomes settings.

The penalty is searched as its strength α₀·λ·s^ν, s being the frequency of the average row: the weight that the penalty
has beside one event of weight 1. So neither α₀ nor ν changes what a value of it means, and what is learned at one of
them holds at the others. `als.regularization` follows from it (Rendle, Krichene, Zhang & Koren, "Revisiting the
Performance of iALS on Item Recommendation Benchmarks", RecSys 2022, rescale λ for ν alike).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from scipy.sparse import csr_matrix

from training.config import RunConfig
from training.errors import ConfigInvalid
from training.size import sized

FACTORS: Final = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
HALF_LIVES: Final = (7.0, 14.0, 30.0, 60.0, 120.0, 365.0, 0.0)
"""Days, the shortest memory first; 0: no decay."""

RANK, ABSENCE, EXPONENT, STRENGTH, MEMORY = (
    "als.factors",
    "interactions.unobserved_weight",
    "als.frequency_exponent",
    "strength",
    "interactions.half_life_days",
)
LABELS: Final = {STRENGTH: "penalty (α₀·λ·s^ν)"}
"""Of the parameters that are not themselves a setting."""

_STARTS: Final = ((0.2, 1.0, 8.0, 0.6), (0.015, 1.0, 1.5, 1.0), (0.1, 0.0, 5.0, 0.6))
"""α₀, ν, strength and place in the list of factors of what is tried before anything is learned: near what Rendle et al.
found for MovieLens, what is good on Gowalla, and scalar regularisation."""


@dataclass(frozen=True, slots=True)
class Space:
    """`distributions` by parameter; of `als.factors` and `interactions.half_life_days` a place in `factors` or in
    `HALF_LIVES`, so that the sampler knows that they are ordered."""

    base: RunConfig
    factors: tuple[int, ...]
    distributions: dict[str, BaseDistribution]

    def starts(self) -> list[dict[str, Any]]:
        """Proposals to begin with."""
        last = len(self.factors) - 1
        memory = {} if MEMORY not in self.distributions else {MEMORY: HALF_LIVES.index(30.0)}
        return [
            {ABSENCE: absence, EXPONENT: exponent, STRENGTH: strength, RANK: round(place * last)} | memory
            for absence, exponent, strength, place in _STARTS
        ]

    def proposal_of(self, config: RunConfig, train: csr_matrix) -> dict[str, Any]:
        """The proposal nearest to given settings; `train` the signed confidences that they give."""
        als, interactions = config.als, config.interactions
        unit = interactions.unobserved_weight * average_frequency(train) ** als.frequency_exponent
        nearest = {
            RANK: _nearest(self.factors, sized(als, train).factors),
            ABSENCE: interactions.unobserved_weight,
            EXPONENT: als.frequency_exponent,
            STRENGTH: als.regularization * unit,
            MEMORY: _nearest(HALF_LIVES[:-1], interactions.half_life_days)
            if interactions.half_life_days
            else len(HALF_LIVES) - 1,
        }
        return {name: _within(each, nearest[name]) for name, each in self.distributions.items()}

    def weighted(self, proposal: Mapping[str, Any]) -> RunConfig:
        """The settings that the training matrix depends on, the others as they were."""
        changed: dict[str, Any] = {"unobserved_weight": _short(proposal[ABSENCE])}
        if MEMORY in proposal:
            changed["half_life_days"] = HALF_LIVES[proposal[MEMORY]]
        interactions = self.base.interactions.model_copy(update=changed)
        return self.base.model_copy(update={"interactions": interactions})

    def complete(self, proposal: Mapping[str, Any], weighted: RunConfig, train: csr_matrix) -> RunConfig:
        """All settings of a proposal; `train` the signed confidences that `weighted` gives, which decide what λ the
        proposed strength is."""
        exponent = _short(proposal[EXPONENT])
        unit = weighted.interactions.unobserved_weight * average_frequency(train) ** exponent
        changed = {
            "factors": self.factors[proposal[RANK]],
            "frequency_exponent": exponent,
            "regularization": _short(proposal[STRENGTH] / unit),
        }
        return weighted.model_copy(update={"als": weighted.als.model_copy(update=changed)})

    def words(self) -> str:
        """What names the space, for telling one study from another."""
        return repr((self.factors, HALF_LIVES, sorted((name, str(each)) for name, each in self.distributions.items())))


def als_space(base: RunConfig, *, has_time: bool, most_factors: int) -> Space:
    """The space of factor models fitted by ALS. Raises ConfigInvalid when no number of factors is small enough."""
    factors = tuple(number for number in FACTORS if number <= most_factors)
    if not factors:
        raise ConfigInvalid(f"FACTORS={most_factors}: at least {FACTORS[0]}, the fewest that are tried")
    distributions: dict[str, BaseDistribution] = {
        RANK: IntDistribution(0, len(factors) - 1),
        ABSENCE: FloatDistribution(0.005, 1.0, log=True),
        EXPONENT: FloatDistribution(0.0, 1.0),
        STRENGTH: FloatDistribution(0.1, 100.0, log=True),
    }
    if has_time:
        distributions[MEMORY] = IntDistribution(0, len(HALF_LIVES) - 1)
    return Space(base, factors, distributions)


def _nearest(numbers: Sequence[float], wanted: float) -> int:
    return int(np.argmin(np.abs(np.log(numbers) - np.log(wanted))))


def _within(distribution: BaseDistribution, value: float) -> float:
    if isinstance(distribution, (FloatDistribution, IntDistribution)):
        return min(max(value, distribution.low), distribution.high)
    raise TypeError(f"a distribution that spaces do not have: {distribution}")


def average_frequency(train: csr_matrix) -> float:
    """The geometric mean of the users' and the items' mean frequency, s = n + Σ(|c| − 1) of a row or column.

    `train` float32 users × items, signed confidences; only rows and columns with an entry count.
    """
    added = float(np.abs(train.data).sum(dtype=np.float64)) - train.nnz
    users = max(int((np.diff(train.indptr) > 0).sum()), 1)
    items = max(len(np.unique(train.indices)), 1)
    return float(np.sqrt((train.shape[1] + added / users) * (train.shape[0] + added / items)))


def _short(value: float) -> float:
    """Four significant digits: what is written down is exactly what was tried."""
    return float(f"{value:.4g}")


def settings_shown(config: RunConfig) -> dict[str, float]:
    """The settings that a trial decides, by name."""
    als, interactions = config.als, config.interactions
    return {
        RANK: als.factors,
        "als.regularization": als.regularization,
        EXPONENT: als.frequency_exponent,
        "als.iterations": als.iterations,
        ABSENCE: interactions.unobserved_weight,
        MEMORY: interactions.half_life_days,
    }
