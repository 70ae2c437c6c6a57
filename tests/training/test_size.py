"""The number of factors where the settings leave it open."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random as random_sparse

from training.als import fit_als
from training.config import load_config
from training.size import factors_for, sized

ALS = load_config("none", None).als.model_copy(update={"factors": 0, "iterations": 1})


def matrix():
    found = random_sparse(500, 300, 0.8, format="csr", dtype=np.float32, random_state=1)
    found.data = np.where(np.arange(found.nnz) % 2, 3, -3).astype(np.float32)
    return found


def test_more_data_never_has_fewer_factors() -> None:
    chosen = [factors_for(n) for n in (0, 1, 10_000, 100_000, 1_000_000, 10_000_000, 10**9)]
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (16, 256)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_a_fit_without_a_number_takes_that_of_the_positive_pairs(exponent: float) -> None:
    als = ALS.model_copy(update={"frequency_exponent": exponent})
    n_factors = factors_for(matrix().nnz // 2)
    assert n_factors > 16
    assert fit_als(matrix(), als).items.shape == (300, n_factors)


def test_a_number_that_is_given_stays() -> None:
    given = ALS.model_copy(update={"factors": 5})
    assert sized(given, matrix()) is given
