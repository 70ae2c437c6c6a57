"""New items, and what the feedback of their first users does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32
from tests.training.test_content import columns, community, config
from training.als import exact_users
from training.new_items import FEEDBACK, measure_new_items

N_USERS, N_ITEMS = 400, 160


def dense_community() -> csr_matrix:
    """Some 25 users an item, one topic each."""
    return community(N_USERS, N_ITEMS)


def test_every_number_of_users_is_measured_on_the_same_users_and_items() -> None:
    found = measure_new_items(dense_community(), columns(N_ITEMS), config())
    assert found is not None
    assert list(found.steps) == list(FEEDBACK)
    assert found.n_items >= 5
    assert {step.n_users for step in found.steps.values()} == {found.n_users}
    assert len({step.mean_a for step in found.steps.values()}) == 1, "category popularity waits for nobody's feedback"


def test_metadata_and_feedback_both_beat_a_random_order() -> None:
    found = measure_new_items(dense_community(), columns(N_ITEMS), config())
    assert found is not None
    assert found.steps[0].mean_b > found.chance + 0.1
    assert found.steps[10].mean_b > found.chance + 0.1
    assert found.steps[10].mean_b > found.steps[1].mean_b


def test_feedback_is_worth_the_same_whatever_the_metadata_says() -> None:
    given = columns(N_ITEMS)
    blurred = replace(given, categories=[["t0"]] * N_ITEMS)
    clear, blind = (measure_new_items(dense_community(), known, config()) for known in (given, blurred))
    assert clear is not None
    assert blind is not None
    assert clear.steps[0].mean_b > blind.steps[0].mean_b
    assert clear.steps[3].mean_b == pytest.approx(blind.steps[3].mean_b)


def test_nothing_is_measured_without_metadata_or_with_too_few_users() -> None:
    nothing = replace(columns(N_ITEMS), categories=[[]] * N_ITEMS, creators=[""] * N_ITEMS, attributes=[{}] * N_ITEMS)
    assert measure_new_items(dense_community(), nothing, config()) is None
    assert measure_new_items(community(40, N_ITEMS), columns(N_ITEMS), config()) is None, "no item has eleven users"


def test_the_item_half_step_minimises_the_objective_over_those_who_gave_feedback() -> None:
    rng = np.random.default_rng(0)
    users: Float32 = rng.standard_normal((30, 4)).astype(np.float32)
    feedback = np.zeros((1, 30))
    feedback[0, [3, 7, 20]] = [11.0, 4.0, 6.0]
    vector = exact_users(csr_matrix(feedback.astype(np.float32)), users, 2.0).users[0]
    confidence, liked = np.maximum(feedback[0], 1.0), (feedback[0] > 0).astype(float)
    gradient = -2 * (confidence * (liked - users @ vector)) @ users + 2 * 2.0 * vector
    np.testing.assert_allclose(gradient, 0, atol=1e-3)
