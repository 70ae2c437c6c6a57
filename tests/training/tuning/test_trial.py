"""What one trial measures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.events import make_dataset
from training.als import fit_als
from training.config import RunConfig, load_config
from training.metrics import accuracy
from training.rankers import FactorRanker
from training.tuning.plots import on_front
from training.tuning.trial import Validation
from training.validation import training_part


def config(**als: float) -> RunConfig:
    base = load_config("none", None)
    changed = base.als.model_copy(update={"factors": 6, "regularization": 5.0, "iterations": 4} | als)
    return base.model_copy(update={"als": changed})


def validation(base: RunConfig) -> Validation:
    rng = np.random.default_rng(4)
    rows = [
        (f"u{user:02}", f"v{item:02}", "like", None, None)
        for user in range(50)
        for item in rng.permutation(np.arange(user % 2, 60, 2))[:14]
    ]
    return Validation(training_part(make_dataset(rows), base), base)


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_without_early_stopping_the_value_is_that_of_the_model_as_it_would_be_trained(exponent: float) -> None:
    base = config(frequency_exponent=exponent)
    validated = validation(base)
    split = validated.split(base)
    seen: list[tuple[int, float]] = []
    found = validated.measure(split, base, lambda *told: seen.append(told), early_stop=False)
    factors = fit_als(split.train, base.als)
    users = validated.users(split)
    lists = FactorRanker("model", factors.users, factors.items).rank(users, split.seen, 10)
    expected = accuracy(lists, split.test[users], (10,))["ndcg@10"].mean()
    assert found.metrics["ndcg@10"] == pytest.approx(expected, abs=1e-6)
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4]
    assert seen[-1][1] == found.metrics["ndcg@10"]
    assert found.epochs == 4


def test_early_stopping_takes_the_best_epoch_and_ends_three_after_it() -> None:
    base = config(frequency_exponent=1.0, regularization=0.05)
    validated = validation(base)
    seen: list[float] = []
    found = validated.measure(validated.split(base), base, lambda _, value: seen.append(value), early_stop=True)
    assert found.metrics["ndcg@10"] == max(seen)
    assert found.epochs == 1 + int(np.argmax(seen))
    assert len(seen) == min(found.epochs + 3, 20)


def test_what_a_model_costs_grows_with_its_factors() -> None:
    base = config()
    validated = validation(base)
    small, large = (
        validated.measure(validated.split(base), config(factors=n), lambda *_: None, early_stop=False) for n in (4, 8)
    )
    assert large.factor_bytes == 2 * small.factor_bytes
    assert small.miss_ms > 0


def test_the_front_has_what_nothing_beats() -> None:
    costs = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    values = np.array([0.1, 0.3, 0.2, 0.3, 0.05])
    assert on_front(costs, values).tolist() == [True, True, False, True, False]
