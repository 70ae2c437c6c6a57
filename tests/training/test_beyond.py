"""Popularity bias and calibration, against the same figures counted by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Int32
from training import beyond

N_ITEMS = 12
CATEGORIES = [["a"], ["a", "b"], ["b"], [], ["c", "a"], ["c"], ["b", "c"], ["a"], [], ["d"], ["d", "d"], ["a", "d"]]


def lists_and_history(seed: int) -> tuple[Int32, csr_matrix]:
    """Nine users, the first without history, the second without a list; lists of up to 5."""
    rng = np.random.default_rng(seed)
    ranked = np.full((9, 5), -1, dtype=np.int32)
    history = (rng.random((9, N_ITEMS)) < 0.4).astype(np.float32)
    history[0] = 0
    for user in range(9):
        length = 0 if user == 1 else rng.integers(1, 6)
        ranked[user, :length] = rng.permutation(N_ITEMS)[:length]
    return ranked, csr_matrix(history)


def listed(ranked: Int32, user: int) -> list[int]:
    return [int(item) for item in ranked[user] if item >= 0]


@pytest.mark.parametrize("seed", range(5))
def test_popularity_lift_is_the_mean_difference_of_percentiles(seed: int) -> None:
    ranked, history = lists_and_history(seed)
    holders = np.random.default_rng(seed).integers(0, 6, N_ITEMS)
    pairs = [count for count in holders.tolist() for _ in range(count)]  # each pair by the popularity of its item
    percentile = [(sum(n < own for n in pairs) + sum(n == own for n in pairs) / 2) / len(pairs) for own in holders]
    lifts = []
    for user in range(9):
        own, shown = history[user].indices.tolist(), listed(ranked, user)
        if own and shown:
            mean_shown = sum(percentile[i] for i in shown) / len(shown)
            lifts.append(mean_shown - sum(percentile[i] for i in own) / len(own))
    np.testing.assert_allclose(beyond.popularity_percentile(holders), percentile)
    found = beyond.popularity_lift(ranked, history, beyond.popularity_percentile(holders))
    assert found == pytest.approx(sum(lifts) / len(lifts))


def test_lists_of_what_is_popular_have_a_lift_and_lists_of_what_is_not_have_none() -> None:
    history = csr_matrix(np.eye(3, N_ITEMS, 5, dtype=np.float32))  # the middle of the catalogue
    percentile = beyond.popularity_percentile(np.arange(1, N_ITEMS + 1))
    popular = np.tile(np.array([11, 10], np.int32), (3, 1))
    assert beyond.popularity_lift(popular, history, percentile) > 0.3
    assert beyond.popularity_lift(11 - popular, history, percentile) < -0.3
    assert beyond.popularity_lift(history.indices.reshape(3, 1), history, percentile) == 0


def test_gini_is_half_the_relative_mean_difference() -> None:
    counts = np.random.default_rng(0).integers(0, 30, 25)
    apart = sum(abs(int(a) - int(b)) for a in counts for b in counts)
    assert beyond.gini(counts) == pytest.approx(apart / (2 * len(counts) * counts.sum()))


def test_gini_of_equal_exposure_is_0_and_of_one_item_alone_nearly_1() -> None:
    assert beyond.gini(np.full(40, 7)) == pytest.approx(0)
    assert beyond.gini(np.eye(1, 40, dtype=np.int64)[0]) == pytest.approx(39 / 40)
    assert beyond.gini(np.zeros(5, np.int64)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_miscalibration_is_stecks_divergence_counted_by_hand(seed: int) -> None:
    ranked, history = lists_and_history(seed)

    def distribution(items: list[int]) -> dict[str, float]:
        totals: dict[str, float] = {}
        known = [set(CATEGORIES[item]) for item in items if CATEGORIES[item]]
        for names in known:
            for name in names:
                totals[name] = totals.get(name, 0.0) + 1 / len(names) / len(known)
        return totals

    divergences = []
    for user in range(9):
        p, q = distribution(history[user].indices.tolist()), distribution(listed(ranked, user))
        if p and q:
            divergences.append(sum(v * log(v / (0.99 * q.get(g, 0) + 0.01 * v)) for g, v in p.items()))
    shares = beyond.category_shares(CATEGORIES)
    assert shares is not None
    assert beyond.miscalibration(ranked, history, shares) == pytest.approx(sum(divergences) / len(divergences))


def test_a_list_in_the_users_proportions_is_calibrated_and_one_of_other_categories_is_not() -> None:
    shares = beyond.category_shares([["a"], ["a"], ["b"], ["b"]])
    assert shares is not None
    history = csr_matrix(np.array([[1, 0, 1, 0], [1, 1, 0, 0]], dtype=np.float32))
    same = np.array([[3, 1], [0, -1]], dtype=np.int32)
    assert beyond.miscalibration(same, history, shares) == pytest.approx(0, abs=1e-12)
    other = np.array([[-1, -1], [2, 3]], dtype=np.int32)
    assert beyond.miscalibration(other, history, shares) == pytest.approx(-log(0.01))


def test_without_categories_there_is_nothing_to_calibrate_to() -> None:
    assert beyond.category_shares([[], []]) is None
