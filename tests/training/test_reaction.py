"""Users held out entirely, and what a few of their events do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from recsvc.bundle.types import Float32
from tests.training.events import Row, make_dataset
from training.config import RunConfig, load_config
from training.errors import DataInvalid
from training.progress import Progress
from training.reaction import STEPS, History, measure_reaction

QUIET = Progress(quiet=True)


def config() -> RunConfig:
    settings = load_config("built", None)
    als = settings.als.model_copy(update={"factors": 6, "iterations": 8, "regularization": 1.0})
    return settings.model_copy(update={"als": als})


def rows(n_users: int = 60, n_items: int = 90, *, per_user: int = 20) -> list[Row]:
    """Each user likes items of one of three topics, a new one every day."""
    rng = np.random.default_rng(2)
    found: list[Row] = []
    for user in range(n_users):
        own = rng.permutation(np.arange(user % 3, n_items, 3))[:per_user]
        found += [(f"u{user:02}", f"v{item:02}", "like", float(day), None) for day, item in enumerate(own)]
    return found


def test_a_taste_that_a_few_events_give_away_is_found_out() -> None:
    found = measure_reaction(make_dataset(rows()), config(), QUIET)
    assert found.n_users == 60, "every user with enough items is held out once"
    assert list(found.steps) == list(STEPS)
    after_three = found.steps[3]
    assert after_three.mean_b > 2 * after_three.mean_a
    assert after_three.interval is not None
    assert after_three.interval[0] > 0
    assert len({step.mean_a for step in found.steps.values()}) == 1, "popularity is the same after any number of events"


def test_without_events_everybody_gets_what_is_popular() -> None:
    found = measure_reaction(make_dataset(rows()), config(), QUIET)
    nothing = found.steps[0]
    assert nothing.mean_a == nothing.mean_b > 0
    assert (nothing.n_better, nothing.n_worse) == (0, 0)


def test_whatever_scores_a_history_can_be_measured() -> None:
    class SameTopic:
        """Knows the three topics of `rows`: an item is liked by those who like the one before it."""

        def scores(self, histories: Sequence[History]) -> Float32:
            topics = np.arange(90) % 3
            return np.array([topics == items[0] % 3 for items, _ in histories], dtype=np.float32)

    topical = measure_reaction(make_dataset(rows()), config(), QUIET, lambda *_: SameTopic())
    learnt = measure_reaction(make_dataset(rows()), config(), QUIET)
    assert topical.steps[1].mean_b > learnt.steps[1].mean_b
    assert topical.steps[1].mean_a == learnt.steps[1].mean_a
    assert topical.steps[1].mean_b == topical.steps[10].mean_b


def test_users_with_few_items_are_not_measured_but_are_learnt_from() -> None:
    few: list[Row] = [(f"w{user}", f"v{user:02}", "like", 1.0, None) for user in range(30)]
    assert measure_reaction(make_dataset(rows() + few), config(), QUIET).n_users == 60


def test_a_part_whose_users_have_no_later_items_is_left_out() -> None:
    everybody: list[Row] = [(f"w{item}", f"v{item:02}", "like", 1.0, None) for item in range(90)]
    alone: list[Row] = [("x", f"own{item:02}", "like", float(item), None) for item in range(20)]
    found = measure_reaction(make_dataset(rows(n_users=4) + everybody + alone), config(), QUIET)
    assert found.n_users == 4, "five parts of one user each, and nobody else has what x likes"


def test_data_without_times_or_without_busy_users_is_refused() -> None:
    dataset = make_dataset(rows())
    timeless = replace(dataset, events=replace(dataset.events, timestamps=np.full(len(dataset.events), np.nan)))
    with pytest.raises(DataInvalid, match="not every event has a time"):
        measure_reaction(timeless, config(), QUIET)
    with pytest.raises(DataInvalid, match="no user has 15 items"):
        measure_reaction(make_dataset(rows(per_user=12)), config(), QUIET)
