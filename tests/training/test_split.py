"""Held-out parts: nothing leaks, nothing is tested that cannot be hit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.events import make_dataset
from training.config import SplitConfig, load_config
from training.errors import DataInvalid
from training.split import make_split

RECIPE = load_config("none", None).interactions.recipe()


def _config(kind: str, share: float = 0.2) -> SplitConfig:
    return SplitConfig(kind=kind, test_share=share)


def _timed():
    rows = [(f"u{n % 5}", f"v{n % 7}", "like", float(n), None) for n in range(34)]
    return make_dataset([*rows, ("u0", "new-item", "like", 61.0, None), ("new-user", "v1", "like", 61.0, None)])


def test_auto_is_temporal_when_there_are_times_and_leave_last_out_otherwise() -> None:
    assert make_split(_timed(), _config("auto"), RECIPE).kind == "temporal"
    untimed = make_dataset([(f"u{n % 3}", f"v{(n * 2) % 5}", "like", None, None) for n in range(15)])
    assert make_split(untimed, _config("auto"), RECIPE).kind == "leave_last_out"


def test_a_temporal_test_part_lies_after_every_training_event() -> None:
    rows = [("a", f"x{n}", "like", float(n), None) for n in range(10)]
    rows += [("b", f"x{n}", "like", float(n) - 0.5, None) for n in range(10)]
    rows += [("a", "x9", "like", 0.0, None)]
    split = make_split(make_dataset(rows), _config("temporal"), RECIPE)
    assert split.test.multiply(split.seen).nnz == 0
    assert split.notes["cut (Unix seconds)"] < 1_790_000_000 + 9 * 86_400


def test_what_cannot_be_hit_is_left_out_and_counted() -> None:
    split = make_split(_timed(), _config("temporal"), RECIPE)
    assert split.notes["left out: user not in training"] == 1
    assert split.notes["left out: item not in training"] == 1


def test_leave_last_out_holds_out_every_event_of_the_last_pair() -> None:
    rows = [
        ("a", "x", "view", 1.0, None),
        ("a", "y", "view", 2.0, None),
        ("a", "x", "like", 3.0, None),
        ("b", "x", "view", 1.0, None),
        ("b", "y", "like", 2.0, None),
    ]
    split = make_split(make_dataset(rows), _config("leave_last_out"), RECIPE)
    # b's last item y is known to a alone in training, x to b alone: both pairs can be hit.
    assert split.test.toarray().tolist() == [[1, 0], [0, 1]]
    assert split.seen.toarray().tolist() == [[0, 1], [1, 0]]


def test_a_given_test_part_is_kept_as_given() -> None:
    rows = [("a", "x", "like", None, None), ("a", "y", "like", None, None), ("b", "y", "like", None, None)]
    split = make_split(make_dataset(rows, given_test=[False, True, False]), _config("auto"), RECIPE)
    assert split.kind == "given"
    assert split.test.toarray().tolist() == [[0, 1], [0, 0]]


def test_a_disliked_item_is_not_a_positive_to_find() -> None:
    rows = [("a", "x", "like", 0.0, None), ("b", "y", "like", 0.0, None), ("b", "x", "like", 1.0, None)]
    rows += [("a", "y", "not_interested", 9.0, None), ("b", "x", "view", 9.0, None)]
    with pytest.raises(DataInvalid, match="no held-out interaction"):
        make_split(make_dataset(rows), _config("temporal", 0.4), RECIPE)


@pytest.mark.parametrize("kind", ["temporal", "given"])
def test_a_kind_that_the_data_cannot_give_is_an_error_with_a_remedy(kind: str) -> None:
    with pytest.raises(DataInvalid, match=r"split\.kind"):
        make_split(make_dataset([("a", "x", "like", None, None)]), _config(kind), RECIPE)


def test_the_training_part_weighs_events_as_of_its_own_end() -> None:
    rows = [("a", "x", "like", 0.0, None), ("b", "x", "like", 0.0, None), ("b", "y", "like", 0.0, None)]
    rows += [("a", "y", "like", 600.0, None)]
    split = make_split(make_dataset(rows), _config("temporal", 0.25), RECIPE)
    assert np.all(split.train.data > 1)
