"""Weights learnt inside the training part: repeatable, better where there is something to gain, cautious elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import COMPONENTS
from tests.training.events import Row, make_dataset
from training.blend import LEAST_USERS, Learned, _shortened, learn_blend
from training.config import RunConfig, load_config
from training.progress import Progress
from training.sources.dataset import Dataset

QUIET = Progress(quiet=True)
SMALL = """
[interactions]
half_life_days = 0.0
[als]
factors = 4
iterations = 4
[neighbours]
keep = 20
[spectrum]
dimensions = 4
[blend]
components = ["factors", "neighbours", "popularity", "spectrum"]
bounds = [2, 6]
trials = 25
"""


@pytest.fixture
def settings(tmp_path: Path) -> RunConfig:
    file = tmp_path / "settings.toml"
    file.write_text('[model]\nkind = "blend"\n' + SMALL)
    return load_config("none", file)


def community(n_users: int, n_items: int = 40, per_user: int = 12, *, seed: int = 0) -> Dataset:
    """Users who like items of one of four tastes, the first of each taste most; no times."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for user in range(n_users):
        own = np.arange(user % 4, n_items, 4)
        odds = 1 / (1 + np.arange(len(own)))
        chosen = rng.choice(own, min(per_user, len(own) - 1), replace=False, p=odds / odds.sum())
        rows += [(f"u{user:03}", f"v{item:02}", "like", None, None) for item in chosen]
    return make_dataset(rows)


def normal(learned: Learned) -> np.ndarray:
    return np.array([learned.blend.weights[name] for name in COMPONENTS])


def test_the_same_data_and_seed_give_the_same_weights(settings: RunConfig) -> None:
    first, second = (learn_blend(community(150), settings, QUIET) for _ in range(2))
    assert first == second
    assert first.blend.bounds == [2, 6]
    assert normal(first).shape == (4, 3)
    assert normal(first).any(axis=0).all()


def test_each_bucket_and_everybody_are_measured_by_blend_and_components(settings: RunConfig) -> None:
    learned = learn_blend(community(150), settings, QUIET)
    assert [group.label for group in learned.groups] == ["1–2 items", "3–6 items", "7 items or more", "everybody"]
    for group in learned.groups:
        assert list(group.values) == ["blend", *COMPONENTS]
        assert group.n_users == 75
        assert group.own
    assert learned.metrics()["ndcg@10 blend (3–6 items)"] == pytest.approx(learned.groups[1].values["blend"], abs=1e-6)
    assert len(learned.lines()) == 5
    assert "weights" in learned.lines()[1]


def test_short_histories_are_learnt_from_some_users_and_long_ones_from_all(
    settings: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.blend._CUT_USERS", 120)
    learned = learn_blend(community(300), settings, QUIET)
    numbers = [group.n_users for group in learned.groups]
    assert numbers[2:] == [150, 150]
    assert 40 < numbers[0] == numbers[1] < 80
    assert learned.n_users == 300


def test_with_times_several_validation_parts_are_learnt_from(settings: RunConfig) -> None:
    known = community(80).events
    names = zip(known.users, known.items, strict=True)
    rows: list[Row] = [
        (known.user_ids[user], known.item_ids[item], "like", float(day), None)
        for day, (user, item) in enumerate(np.random.default_rng(2).permutation(list(names)))
    ]
    one, three = (
        learn_blend(
            make_dataset(rows),
            settings.model_copy(update={"blend": settings.blend.model_copy(update={"cuts": cuts})}),
            QUIET,
        )
        for cuts in (1, 3)
    )
    assert one.n_users <= 80 < three.n_users
    assert one.blend != three.blend


def test_a_component_left_out_of_the_settings_has_no_weight(settings: RunConfig) -> None:
    blend = settings.blend.model_copy(update={"components": ("factors", "popularity")})
    learned = learn_blend(community(150), settings.model_copy(update={"blend": blend}), QUIET)
    assert not any(learned.blend.weights["neighbours"])
    assert "neighbours" not in learned.groups[0].values


def test_factors_that_know_nothing_are_outweighed(settings: RunConfig) -> None:
    """A penalty that leaves nothing of the factors: what is found is found by the others."""
    useless = settings.als.model_copy(update={"factors": 1, "iterations": 1, "regularization": 1e7})
    learned = learn_blend(community(200), settings.model_copy(update={"als": useless}), QUIET)
    spoken = normal(learned)[1:].sum(axis=0)
    assert (spoken > 0).all()
    everybody = learned.groups[-1].values
    assert everybody["blend"] > everybody["factors"] + 0.05


def test_with_few_validation_users_factors_alone_are_used_and_it_is_said(settings: RunConfig) -> None:
    learned = learn_blend(community(LEAST_USERS - 10), settings, QUIET)
    assert learned.blend.components == ("factors",)
    assert learned.blend.bounds == []
    assert learned.metrics() == {}
    assert "40 validation users are too few" in learned.lines()[0]


def test_with_nothing_to_validate_on_factors_alone_are_used(settings: RunConfig) -> None:
    learned = learn_blend(community(60, per_user=1), settings, QUIET)
    assert (learned.blend.components, learned.n_users) == (("factors",), 0)


def test_a_bucket_with_few_users_has_the_weights_of_everybody(settings: RunConfig) -> None:
    few = [(f"w{user:02}", f"v{item:02}", "like", None, None) for user in range(20) for item in range(0, 40, 2)]
    small = community(150, per_user=5)
    known = small.events
    rows: list[Row] = [
        (known.user_ids[user], known.item_ids[item], "like", None, None)
        for user, item in zip(known.users, known.items, strict=True)
    ]
    learned = learn_blend(make_dataset([*rows, *few]), settings, QUIET)
    assert [group.own for group in learned.groups] == [True, True, False, True]
    assert "too few users" in learned.lines()[3]


def test_the_test_part_does_not_enter(settings: RunConfig) -> None:
    """A data set that still has its given test part is refused."""
    marked = make_dataset([("u", "v", "like", None, None)], given_test=[True])
    with pytest.raises(ValueError, match="training_part"):
        learn_blend(marked, settings, QUIET)


class TestShortened:
    def test_histories_are_cut_to_a_choice_of_their_positive_items(self) -> None:
        rng = np.random.default_rng(0)
        dense = np.where(rng.random((300, 30)) < 0.5, rng.choice([-3.0, 2.0, 7.0], (300, 30)), 0)
        whole = csr_matrix(dense.astype(np.float32))
        cut = _shortened(whole, 3, 5, np.random.default_rng(1))
        lengths = np.diff(cut.indptr)
        assert set(lengths.tolist()) == {3, 4, 5}
        assert (cut.data > 0).all()
        assert abs(cut - whole.multiply(cut.sign())).nnz == 0, "each kept with its confidence"
        assert cut.getnnz(axis=0).min() > 0, "any item may be chosen"

    def test_who_has_no_more_keeps_all(self) -> None:
        whole = csr_matrix(np.array([[2, 0, 3, -1], [0, 5, 0, 0]], dtype=np.float32))
        cut = _shortened(whole, 1, 9, np.random.default_rng(0))
        assert set(np.diff(cut.indptr).tolist()) <= {1, 2}
        assert cut[1].toarray().tolist() == [[0, 5, 0, 0]]
