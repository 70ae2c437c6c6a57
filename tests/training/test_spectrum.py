"""The spectrum of a training matrix is the filter that it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from training.config import SpectrumConfig
from training.spectrum import fit_spectrum

RNG = np.random.default_rng(4)
SHOWN = (RNG.random((50, 20)) < 0.25) & (np.arange(20) != 7)
TRAIN = csr_matrix(np.where(SHOWN, RNG.choice([-2.0, 3.0, 9.0], (50, 20)), 0).astype(np.float32))


def settings(dimensions: int, user: float = 0.5, item: float = 0.5) -> SpectrumConfig:
    return SpectrumConfig(dimensions=dimensions, user_exponent=user, item_exponent=item)


@pytest.mark.parametrize(("user", "item"), [(0.5, 0.5), (0.25, 0.0), (0.0, 1.0)])
def test_it_projects_on_the_leading_singular_vectors_of_the_scaled_matrix(user: float, item: float) -> None:
    liked = TRAIN.toarray() > 0
    of_user, of_item = (np.maximum(liked.sum(axis=axis), 1).astype(np.float64) for axis in (1, 0))
    scaled = liked * (of_user**-user)[:, None] * of_item**-item
    _, _, rows = np.linalg.svd(scaled, full_matrices=False)
    found = fit_spectrum(TRAIN, settings(5, user, item))
    np.testing.assert_allclose(found.scale, of_item**item, rtol=1e-6)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, rows[:5].T @ rows[:5], atol=1e-3)


def test_dimensions_come_by_singular_value_so_that_fewer_are_the_first_of_more() -> None:
    few, more = (fit_spectrum(TRAIN, settings(n)).vectors for n in (3, 8))
    np.testing.assert_allclose(np.abs((few * more[:, :3]).sum(axis=0)), np.ones(3), atol=1e-3)


def test_an_item_that_nobody_likes_has_no_vector_and_a_scale_to_divide_by() -> None:
    found = fit_spectrum(TRAIN, settings(4))
    assert not found.vectors[7].any()
    assert found.scale[7] == 1
    assert found.vectors.dtype == found.scale.dtype == np.float32


def test_the_same_matrix_gives_the_same_spectrum() -> None:
    first, second = (fit_spectrum(TRAIN, settings(6)).vectors for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_no_more_dimensions_come_than_the_matrix_has() -> None:
    assert fit_spectrum(TRAIN, settings(500)).vectors.shape == (20, 19)
    assert not fit_spectrum(csr_matrix((4, 3), dtype=np.float32), settings(2)).vectors.any()
    assert fit_spectrum(csr_matrix(np.ones((4, 1), dtype=np.float32)), settings(2)).vectors.shape == (1, 1)
