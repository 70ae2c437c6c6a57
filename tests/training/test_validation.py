"""What settings are chosen on: never a test event, the same for every trial."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.events import Row, make_dataset
from training.config import RunConfig, load_config
from training.errors import DataInvalid
from training.sources.dataset import Candidates, Dataset
from training.split import make_split
from training.validation import training_part, validation_split


def config(kind: str = "auto", share: float = 0.1) -> RunConfig:
    settings = load_config("none", None)
    return settings.model_copy(
        update={
            "split": settings.split.model_copy(update={"kind": kind}),
            "validation": settings.validation.model_copy(update={"share": share}),
        }
    )


def rows(*, timed: bool, n_users: int = 12, n_items: int = 30, per_user: int = 15) -> list[Row]:
    rng = np.random.default_rng(1)
    found: list[Row] = []
    for user in range(n_users):
        for step, item in enumerate(rng.permutation(n_items)[:per_user]):
            found.append((f"u{user:02}", f"v{item:02}", "like", float(step) + user / 99 if timed else None, None))
    return found


def given() -> Dataset:
    made = rows(timed=False)
    marks = [number % 15 == 7 for number in range(len(made))]
    dataset = make_dataset(made, given_test=marks)
    marked = np.flatnonzero(marks)
    events = dataset.events
    candidates = Candidates(events.users[marked], np.stack([events.items[marked], events.items[marked - 1]], axis=1))
    return replace(dataset, candidates=candidates)


CASES = {
    "temporal": (make_dataset(rows(timed=True)), "temporal"),
    "leave_last_out": (make_dataset(rows(timed=True)), "leave_last_out"),
    "without times": (make_dataset(rows(timed=False)), "auto"),
    "given": (given(), "auto"),
}


@pytest.mark.parametrize("case", CASES)
def test_no_test_pair_is_in_the_training_part_or_in_what_is_validated_on(case: str) -> None:
    dataset, kind = CASES[case]
    settings = config(kind)
    test = make_split(dataset, settings.split, settings.interactions.recipe()).test
    part = training_part(dataset, settings)
    validation = validation_split(part, settings, seed=3)
    assert test.nnz > 0
    assert test.multiply(validation.seen).nnz == 0
    assert test.multiply(validation.test).nnz == 0
    assert (part.given_test, part.candidates, validation.candidates) == (None, None, None)
    assert len(part.events) < len(dataset.events)


@pytest.mark.parametrize("case", CASES)
def test_the_validation_part_and_the_rest_make_up_the_training_part(case: str) -> None:
    dataset, kind = CASES[case]
    settings = config(kind)
    part = training_part(dataset, settings)
    validation = validation_split(part, settings, seed=3)
    assert validation.test.nnz > 0
    assert validation.test.multiply(validation.seen).nnz == 0
    pairs = len(set(zip(part.events.users.tolist(), part.events.items.tolist(), strict=True)))
    left_out = sum(value for name, value in validation.notes.items() if name.startswith("left out"))
    assert validation.seen.nnz + validation.test.nnz + left_out == pairs


def test_the_training_part_of_temporal_data_ends_where_the_test_part_begins() -> None:
    dataset, settings = CASES["temporal"][0], config()
    cut = make_split(dataset, settings.split, settings.interactions.recipe()).notes["cut (Unix seconds)"]
    part = training_part(dataset, settings)
    assert part.events.timestamps.max() == cut
    validation = validation_split(part, settings, seed=0)
    assert validation.kind == "temporal"
    assert validation.notes["cut (Unix seconds)"] < cut


def test_without_times_a_tenth_of_each_users_pairs_is_held_out_and_at_least_one() -> None:
    made = rows(timed=False, per_user=25)
    made += [("few", f"v{n:02}", "like", None, None) for n in range(3)]
    made += [("four", f"v{n:02}", "like", None, None) for n in range(4)]
    made += [("loath", f"v{n:02}", "not_interested", None, None) for n in range(9)]
    part = make_dataset(made)
    split = validation_split(part, config(), seed=0)
    held_out = dict(zip(part.events.user_ids, np.diff(split.test.indptr).tolist(), strict=True))
    assert split.kind == "random"
    assert (held_out.pop("few"), held_out.pop("four"), held_out.pop("loath")) == (0, 1, 0)
    assert set(held_out.values()) == {2}


def test_the_seed_decides_and_the_order_of_the_events_does_not() -> None:
    made = rows(timed=False)

    def held_out(rows_: list[Row], seed: int) -> list[list[float]]:
        return validation_split(make_dataset(rows_), config(), seed=seed).test.toarray().tolist()

    assert held_out(made, 5) == held_out(made[::-1], 5)
    assert held_out(made, 5) != held_out(made, 6)


@pytest.mark.parametrize("case", ["temporal", "given"])
def test_trials_with_other_weights_of_absence_and_decay_meet_the_same_users_and_items(case: str) -> None:
    dataset, kind = CASES[case]
    settings = config(kind)
    part = training_part(dataset, settings)
    other = settings.interactions.model_copy(update={"unobserved_weight": 0.9, "half_life_days": 0.5})
    first = validation_split(part, settings, seed=1)
    second = validation_split(part, settings.model_copy(update={"interactions": other}), seed=1)
    assert (first.test != second.test).nnz == 0
    assert (first.seen != second.seen).nnz == 0


def test_the_fingerprint_is_that_of_the_events_left() -> None:
    dataset, settings = CASES["temporal"][0], config()
    shorter = settings.model_copy(update={"split": settings.split.model_copy(update={"test_share": 0.3})})
    prints = {dataset.fingerprint, *(training_part(dataset, each).fingerprint for each in (settings, shorter))}
    assert len(prints) == 3


def test_a_data_set_that_still_has_its_test_part_is_refused() -> None:
    with pytest.raises(ValueError, match="training_part"):
        validation_split(given(), config(), seed=0)


def test_too_few_events_are_an_error_with_a_remedy() -> None:
    part = make_dataset([("a", "x", "like", None, None), ("b", "y", "like", None, None)])
    with pytest.raises(DataInvalid, match=r"validation\.share"):
        validation_split(part, config(), seed=0)
