"""Places given to chance, and the propensities that the log is told."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from recsvc.experiments.exploring import drawn


def test_without_chance_the_ranking_stays_and_is_certain() -> None:
    assert drawn(10, 4, 0.0, Random(1)) == ([0, 1, 2, 3], [1.0, 1.0, 1.0, 1.0])


def test_no_item_comes_twice_and_a_short_ranking_is_drawn_whole() -> None:
    places, propensities = drawn(5, 20, 0.5, Random(1))
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert propensities[-1] == 1.0


def test_propensities_are_the_shares_in_which_items_come_to_their_places() -> None:
    """By what came before each place: the share of each next item is the propensity that was said of it."""
    chance, n = Random(11), 60_000
    after: Counter[tuple[int, ...]] = Counter()
    said: dict[tuple[int, ...], float] = {}
    for _ in range(n):
        places, propensities = drawn(4, 3, 0.4, chance)
        for length in range(4):
            after[tuple(places[:length])] += 1
        for length, propensity in enumerate(propensities, start=1):
            assert said.setdefault(tuple(places[:length]), propensity) == propensity
    for places, propensity in said.items():
        tries = after[places[:-1]]
        assert abs(after[places] - tries * propensity) < 5 * (tries * propensity * (1 - propensity)) ** 0.5 + 1e-9


def test_the_values_of_another_policy_are_estimated_without_bias() -> None:
    """Rewards known for each item: the first place under a uniform policy, estimated from ε-greedy logs by IPS."""
    rewards, chance, n = [0.9, 0.1, 0.5, 0.3], Random(5), 50_000
    total = 0.0
    for _ in range(n):
        places, propensities = drawn(4, 1, 0.5, chance)
        total += (1 / 4) / propensities[0] * (chance.random() < rewards[places[0]])
    assert total / n == pytest.approx(sum(rewards) / 4, abs=0.01)
