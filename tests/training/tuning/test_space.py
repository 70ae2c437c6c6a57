"""Proposals to settings and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training.config import load_config
from training.errors import ConfigInvalid
from training.tuning.space import (
    ABSENCE,
    EXPONENT,
    FACTORS,
    HALF_LIVES,
    MEMORY,
    RANK,
    STRENGTH,
    als_space,
    average_frequency,
    settings_shown,
)

BASE = load_config("none", None)


def train() -> csr_matrix:
    return csr_matrix(np.array([[3, 0, 2, 0], [0, -5, 0, 0], [0, 0, 0, 0]], dtype=np.float32))


def test_the_average_frequency_is_the_geometric_mean_of_both_sides() -> None:
    # Σ(|c| − 1) = 2 + 1 + 4 = 7; two users of 4 items, three items of 3 users.
    assert average_frequency(train()) == pytest.approx(np.sqrt((4 + 7 / 2) * (3 + 7 / 3)))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_same_strength_weighs_the_average_row_alike_whatever_the_exponent(exponent: float) -> None:
    space = als_space(BASE, has_time=True, most_factors=64)
    proposal = {RANK: 1, ABSENCE: 0.25, EXPONENT: exponent, STRENGTH: 3.0, MEMORY: 2}
    weighted = space.weighted(proposal)
    config = space.complete(proposal, weighted, train())
    penalty = config.als.regularization * average_frequency(train()) ** config.als.frequency_exponent
    assert 0.25 * penalty == pytest.approx(3.0, rel=1e-3)
    assert (config.als.factors, config.interactions.half_life_days) == (FACTORS[1], HALF_LIVES[2])
    assert config.interactions.unobserved_weight == 0.25


def test_what_is_not_searched_stays_as_it_was() -> None:
    space = als_space(BASE, has_time=False, most_factors=64)
    assert MEMORY not in space.distributions
    proposal = space.starts()[0]
    config = space.complete(proposal, space.weighted(proposal), train())
    assert config.interactions.half_life_days == BASE.interactions.half_life_days
    assert config.interactions.event_weights == BASE.interactions.event_weights
    assert config.als.seed == BASE.als.seed


def test_settings_are_found_again_as_a_proposal() -> None:
    space = als_space(BASE, has_time=True, most_factors=256)
    proposal = {RANK: 3, ABSENCE: 0.1, EXPONENT: 0.5, STRENGTH: 2.0, MEMORY: len(HALF_LIVES) - 1}
    config = space.complete(proposal, space.weighted(proposal), train())
    assert space.proposal_of(config, train()) == pytest.approx(proposal, rel=1e-3)


def test_settings_outside_the_space_become_the_nearest_proposal() -> None:
    space = als_space(BASE, has_time=True, most_factors=64)
    als = BASE.als.model_copy(update={"factors": 2000, "regularization": 1e9})
    found = space.proposal_of(BASE.model_copy(update={"als": als}), train())
    assert space.factors[found[RANK]] == 64
    assert found[STRENGTH] == 100.0


def test_every_start_is_inside_the_space() -> None:
    space = als_space(BASE, has_time=True, most_factors=FACTORS[0])
    for start in space.starts():
        assert set(start) == set(space.distributions)
        assert all(space.distributions[name]._contains(value) for name, value in start.items())


def test_no_factors_to_try_is_an_error() -> None:
    with pytest.raises(ConfigInvalid, match="FACTORS=8"):
        als_space(BASE, has_time=True, most_factors=8)


def test_what_is_searched_is_shown() -> None:
    assert set(als_space(BASE, has_time=True, most_factors=64).distributions) - {STRENGTH} <= set(settings_shown(BASE))
