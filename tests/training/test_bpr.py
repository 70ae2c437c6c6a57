"""BPR: repeatable, its users those of fold-in, and better than chance at what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.scoring.foldin import fold_in
from training.bpr import fit_bpr
from training.config import AlsConfig, BprConfig, load_config
from training.errors import DataInvalid

N_USERS, N_ITEMS, UNKNOWN = 90, 40, 5
BPR = BprConfig(learning_rate=0.05, regularization=0.01, iterations=80)


def als(**changes: object) -> AlsConfig:
    return load_config("none", None).als.model_copy(update={"factors": 8, "regularization": 2.0, **changes})


def two_tastes() -> csr_matrix:
    """Even users like some of the even items, odd users some of the odd ones; user 0 dislikes item 3."""
    rng = np.random.default_rng(0)
    same = np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2
    train = np.where(same & (rng.random(same.shape) < 0.4), 11.0, 0.0).astype(np.float32)
    train[:, UNKNOWN] = 0
    train[0, 3] = -21.0
    return csr_matrix(train)


def test_the_same_seed_gives_the_same_factors_and_another_seed_others() -> None:
    first, second, other = (fit_bpr(two_tastes(), als(seed=seed), BPR) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.items, second.items)
    np.testing.assert_array_equal(first.users, second.users)
    assert not np.array_equal(first.items, other.items)


def test_the_width_is_that_of_the_settings_bias_included() -> None:
    factors = fit_bpr(two_tastes(), als(), BPR)
    assert (factors.items.shape, factors.users.shape) == ((N_ITEMS, 8), (N_USERS, 8))


def test_stored_users_are_what_fold_in_gives() -> None:
    matrix, settings = two_tastes(), als()
    factors = fit_bpr(matrix, settings, BPR)
    for user in range(N_USERS):
        row = matrix[user]
        folded = fold_in(factors.gram, factors.items, row.indices, row.data, settings.regularization)
        np.testing.assert_allclose(folded.vector, factors.users[user], rtol=1e-4, atol=1e-6)


def test_items_of_the_own_taste_come_first() -> None:
    matrix = two_tastes()
    factors = fit_bpr(matrix, als(), BPR)
    scores = factors.users @ factors.items.T
    same = np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2
    unseen = matrix.toarray() == 0
    unseen[:, UNKNOWN] = False
    assert scores[same & unseen].mean() > scores[~same & unseen].mean() + 0.1


def test_an_item_that_nobody_likes_has_the_zero_vector() -> None:
    assert not fit_bpr(two_tastes(), als(), BPR).items[UNKNOWN].any()


def test_a_fit_that_diverges_is_explained() -> None:
    with pytest.raises(DataInvalid, match=r"bpr\.learning_rate"):
        fit_bpr(two_tastes(), als(), BPR.model_copy(update={"learning_rate": 1e30}))
