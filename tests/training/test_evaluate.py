from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32
from training.beyond import category_shares
from training.evaluate import evaluate, format_table
from training.rankers import FactorRanker, ItemItemRanker, PopularityRanker, Ranker
from training.sources.dataset import Candidates
from training.split import Split

N_USERS, N_ITEMS = 60, 40


def random_split(seed: int = 0) -> Split:
    """Users 0..9 have no held-out item; each pair is either in training, held out, or absent."""
    rng = np.random.default_rng(seed)
    draw = rng.random((N_USERS, N_ITEMS))
    train = np.where(draw < 0.2, rng.choice([-4.0, 2.0, 6.0], draw.shape), 0).astype(np.float32)
    test = ((draw > 0.9) & (np.arange(N_USERS)[:, None] >= 10)).astype(np.float32)
    return Split(
        kind="given",
        train=csr_matrix(train),
        seen=csr_matrix((train != 0).astype(np.float32)),
        test=csr_matrix(test),
        popularity=np.maximum(train, 0).sum(axis=0).astype(np.float32),
        candidates=None,
        notes={},
    )


def rankers_of(split: Split) -> list[Ranker]:
    rng = np.random.default_rng(1)
    users = rng.standard_normal((N_USERS, 5)).astype(np.float32)
    items = rng.standard_normal((N_ITEMS, 5)).astype(np.float32)
    return [
        FactorRanker("als", users, items),
        ItemItemRanker(split.train, threads=1),
        PopularityRanker(split.popularity),
    ]


def test_users_without_held_out_items_are_left_out() -> None:
    split = random_split()
    found = evaluate(rankers_of(split), split, seed=0)
    expected = np.flatnonzero(split.test.toarray().any(axis=1))
    assert found.users.tolist() == expected.tolist()
    assert found.users.min() >= 10
    for by_metric in found.per_user.values():
        assert {len(values) for values in by_metric.values()} == {len(expected)}


def test_a_model_that_knows_the_truth_gets_everything() -> None:
    split = random_split()
    truth = FactorRanker("truth", split.test.toarray(), np.eye(N_ITEMS, dtype=np.float32))
    means = evaluate([truth], split, seed=0).means()["truth"]
    at_20 = {name: means[f"{name}@20"] for name in ("recall", "ndcg", "map", "hr")}
    assert at_20 == pytest.approx({"recall": 1, "ndcg": 1, "map": 1, "hr": 1})


def test_recall_of_popularity_is_what_counting_by_hand_gives() -> None:
    split = random_split()
    recalls = []
    for user in range(N_USERS):
        wanted = set(split.test[user].indices.tolist())
        if wanted:
            order = np.argsort(-split.popularity, kind="stable")
            shown = [i for i in order.tolist() if split.seen[user, i] == 0][:10]
            recalls.append(len(wanted & set(shown)) / len(wanted))
    found = evaluate([PopularityRanker(split.popularity)], split, seed=0)
    np.testing.assert_allclose(found.per_user["popularity"]["recall@10"], recalls, rtol=1e-6)
    assert found.means()["popularity"]["recall@10"] == pytest.approx(np.mean(recalls), rel=1e-6)


def test_every_model_has_every_metric_once_and_within_bounds() -> None:
    split = random_split()
    means = evaluate(rankers_of(split), split, (5, 15), seed=0).means()
    names = ("recall", "ndcg", "map", "hr", "coverage", "novelty", "diversity", "pop-lift", "gini")
    assert list(means) == ["als", "item-item", "popularity"]
    for values in means.values():
        assert set(values) == {f"{name}@{k}" for name in names for k in (5, 15)}
        for name, value in values.items():
            low, high = (-1 if "lift" in name else 0), (np.log2(N_USERS) if "novelty" in name else 1)
            assert low <= value <= high, name
    # Nothing is less novel than what is most popular.
    assert means["popularity"]["novelty@5"] == min(values["novelty@5"] for values in means.values())
    assert means["popularity"]["pop-lift@5"] == max(values["pop-lift@5"] for values in means.values())
    assert means["popularity"]["gini@5"] == max(values["gini@5"] for values in means.values())


def test_calibration_is_measured_where_items_have_categories() -> None:
    split = random_split()
    shares = category_shares([["even" if item % 2 == 0 else "odd"] for item in range(N_ITEMS)])
    found = evaluate(rankers_of(split), split, seed=0, categories=shares)
    assert all(values["calib-kl@10"] > 0 for values in found.means().values())
    assert "calib-kl" in format_table(found).splitlines()[-4]


def test_the_split_is_left_as_it_was() -> None:
    split = random_split()
    before = {name: getattr(split, name).toarray() for name in ("train", "seen", "test")}
    stored = split.train.nnz
    evaluate(rankers_of(split), split, seed=0)
    assert split.train.nnz == stored
    for name, matrix in before.items():
        np.testing.assert_array_equal(getattr(split, name).toarray(), matrix)


def test_recommended_counts_are_those_of_the_longest_lists() -> None:
    split = random_split()
    found = evaluate(rankers_of(split), split, (5, 10), seed=0)
    assert found.list_length == 10
    assert found.recommended["als"].sum() == 10 * len(found.users)
    assert (found.recommended["als"] > 0).mean() == found.means()["als"]["coverage@10"]


def test_given_candidates_are_ranked_among_their_negatives() -> None:
    rng = np.random.default_rng(2)
    items = np.array([rng.permutation(N_ITEMS)[:21] for _ in range(7)], dtype=np.int32)
    users = np.arange(7, dtype=np.int32)
    split = replace(random_split(), candidates=Candidates(users, items))
    truth = np.zeros((N_USERS, N_ITEMS), dtype=np.float32)
    truth[users, items[:, 0]] = 1
    known = FactorRanker("knows", truth, np.eye(N_ITEMS, dtype=np.float32))
    wrong = FactorRanker("avoids", -truth, np.eye(N_ITEMS, dtype=np.float32))
    found = evaluate([known, wrong], split, seed=0)
    assert found.sampled["knows"]["hr@10 (20 negatives)"].shape == (7,)
    assert found.means()["knows"]["hr@10 (20 negatives)"] == 1
    assert found.means()["knows"]["ndcg@10 (20 negatives)"] == 1
    assert found.means()["avoids"]["hr@10 (20 negatives)"] == 0
    assert "@10 (20 negatives)" in format_table(found)


class TestByActivity:
    def test_groups_hold_every_user_once_and_average_to_the_whole(self) -> None:
        split = random_split()
        found = evaluate(rankers_of(split), split, seed=0)
        groups = found.by_activity()
        assert sum(group.n_users for group in groups) == len(found.users)
        assert all(a.upper < b.lower for a, b in pairwise(groups))
        weighted = sum(group.n_users * group.means["als"]["recall@20"] for group in groups) / len(found.users)
        assert weighted == pytest.approx(found.means()["als"]["recall@20"], rel=1e-5)

    def test_activity_counts_positive_training_pairs(self) -> None:
        split = random_split()
        found = evaluate(rankers_of(split), split, seed=0)
        assert found.activity.tolist() == (split.train.toarray() > 0).sum(axis=1)[found.users].tolist()

    def test_equally_active_users_are_one_group(self) -> None:
        eye = np.eye(6, dtype=np.float32)
        split = replace(random_split(), train=csr_matrix(eye), seen=csr_matrix(eye))
        split = replace(split, test=csr_matrix(np.roll(eye, 1, axis=1)), popularity=np.ones(6, np.float32))
        (group,) = evaluate([PopularityRanker(split.popularity)], split, seed=0).by_activity()
        assert (group.n_users, group.label) == (6, "1")


def test_the_same_seed_gives_the_same_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluate._DIVERSITY_USERS", 5)
    split = random_split()
    first, second = (evaluate(rankers_of(split), split, seed=7).means() for _ in range(2))
    assert first == second


def without_test(split: Split) -> Split:
    return replace(split, test=csr_matrix(split.test.shape, dtype=np.float32))


def test_without_held_out_items_everything_is_zero_and_says_so() -> None:
    split = without_test(random_split())
    found = evaluate(rankers_of(split), split, seed=0)
    assert len(found.users) == 0
    assert set(found.means()["als"].values()) == {0.0}
    assert found.by_activity() == []
    assert format_table(found) == "no user has a held-out item: there is nothing to measure"


def test_two_rankers_of_one_name_are_an_error() -> None:
    split = random_split()
    popularity: Float32 = split.popularity
    with pytest.raises(ValueError, match="distinct names"):
        evaluate([PopularityRanker(popularity), PopularityRanker(popularity)], split, seed=0)


def test_the_table_has_a_row_for_each_model_and_stars_the_best() -> None:
    split = random_split()
    truth = FactorRanker("truth", split.test.toarray(), np.eye(N_ITEMS, dtype=np.float32))
    table = format_table(evaluate([truth, PopularityRanker(split.popularity)], split, seed=0))
    lines = table.splitlines()
    assert lines[0].endswith("users with a held-out item")
    assert [line.split()[0] for line in lines[1:]] == [
        *("@10", "truth", "popularity"),
        *("@20", "truth", "popularity"),
        *("@20", "truth", "popularity"),
    ]
    assert lines[-3].split()[1:] == ["pop-lift", "gini"]
    assert "1.0000*" in lines[5]
    # Columns line up: the decimal points of a block stand under one another.
    points = [[at for at, c in enumerate(line) if c == "."] for line in lines[2:4]]
    assert len(points[0]) == len(points[1]) == 7
    assert points[0][:4] == points[1][:4]
    assert max(map(len, lines)) <= 100
