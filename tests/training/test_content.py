"""The ridge map from metadata to factors, and how it is judged on items nobody has met."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.types import NO_TIME
from recsvc.scoring.content import content_vector, item_features
from training import content
from training.cold_start import map_metadata, measure_cold_start
from training.config import RunConfig, load_config
from training.content import Ridge, category_popularity, features_of, fit_content, vectors
from training.sources.dataset import ItemColumns

TOPICS = 4


def columns(n_items: int) -> ItemColumns:
    return ItemColumns(
        titles=[""] * n_items,
        creators=[f"c{item % 9}" for item in range(n_items)],
        categories=[[f"t{item % TOPICS}"] for item in range(n_items)],
        published_at=np.full(n_items, NO_TIME),
        attributes=[{"language": "pt"} if item % 2 else {} for item in range(n_items)],
    )


def config() -> RunConfig:
    settings = load_config("built", None)
    return settings.model_copy(update={"als": settings.als.model_copy(update={"factors": 8, "iterations": 5})})


def community(n_users: int = 120, n_items: int = 160, *, seed: int = 0) -> csr_matrix:
    """Users who like ten items, nine of them of one topic; confidences of 11."""
    rng = np.random.default_rng(seed)
    rows, items = [], []
    for user in range(n_users):
        own = np.arange(user % TOPICS, n_items, TOPICS)
        liked = {*rng.choice(own, min(9, len(own)), replace=False).tolist(), int(rng.integers(n_items))}
        rows += [user] * len(liked)
        items += sorted(liked)
    return csr_matrix((np.full(len(rows), 11.0, np.float32), (rows, items)), shape=(n_users, n_items))


class TestFeatures:
    def test_features_of_too_few_items_are_dropped(self) -> None:
        features = features_of(columns(20), minimum_items=3)
        assert features is not None
        names = list(features.names)
        assert "category:t0" in names
        assert "attribute:language=pt" in names
        assert [name for name in names if name.startswith("creator:")] == ["creator:c0", "creator:c1"]
        row = features.matrix[1].toarray().ravel()
        assert {names[place] for place in np.flatnonzero(row)} == {
            "category:t1",
            "creator:c1",
            "attribute:language=pt",
        }

    def test_without_metadata_there_are_none(self) -> None:
        n = 5
        nothing = ItemColumns([""] * n, [""] * n, [[] for _ in range(n)], np.full(n, NO_TIME), [{} for _ in range(n)])
        assert features_of(nothing, 1) is None
        assert map_metadata(nothing, community(9, n), np.zeros((n, 2), np.float32), community(9, n), config()) is None


class TestRidge:
    @pytest.fixture
    def problem(self) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(3)
        features = csr_matrix((rng.random((60, 7)) < 0.3).astype(np.float64))
        factors = rng.standard_normal((60, 5)).astype(np.float32)
        return features, factors, rng.integers(0, 30, 60).astype(np.float64)

    def test_the_gradient_vanishes_at_the_solution(self, problem: tuple[csr_matrix, np.ndarray, np.ndarray]) -> None:
        features, factors, users = problem
        weights, bias = Ridge(features, factors, users).fit(2.5)
        known = users / (users + 10.0)
        residual = known[:, None] * (factors - features @ weights - bias)
        np.testing.assert_allclose(features.T @ residual, 2.5 * weights, atol=1e-4)
        np.testing.assert_allclose(residual.sum(axis=0), 0, atol=1e-4)

    def test_many_features_give_the_same_by_another_way(
        self, problem: tuple[csr_matrix, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        direct = Ridge(*problem).fit(0.7)
        monkeypatch.setattr(content, "_DENSE_FEATURES", 0)
        for one, other in zip(direct, Ridge(*problem).fit(0.7), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)

    def test_an_item_that_nobody_has_changes_nothing(self, problem: tuple[csr_matrix, np.ndarray, np.ndarray]) -> None:
        features, factors, users = problem
        before = Ridge(features, factors, users).fit(1.0)
        changed = factors.copy()
        changed[users == 0] = 99.0
        for one, other in zip(before, Ridge(features, changed, users).fit(1.0), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_serving_gives_an_item_the_vector_that_training_meant(self) -> None:
        given = columns(40)
        features = features_of(given, 3)
        assert features is not None
        factors = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
        fitted = fit_content(features, factors, np.full(40, 5.0), 1.0)
        mapped = vectors(features.matrix, fitted.weights, fitted.bias)
        for item in (0, 7, 39):
            names = item_features(given.categories[item], given.creators[item], given.attributes[item])
            served = content_vector(fitted, names)
            assert served is not None
            np.testing.assert_allclose(served, mapped[item], rtol=1e-5, atol=1e-6)


def test_category_popularity_is_the_mean_of_the_known_items_of_the_category() -> None:
    features = features_of(columns(8), 1)
    assert features is not None
    users = np.array([0, 4, 6, 0, 3, 8, 0, 0], dtype=np.float64)
    found = category_popularity(features, users, np.array([0, 3], np.int32))
    assert found.tolist() == [3.0, 6.0], "of t3 nothing is known, nor of its creator, so what has its language counts"


class TestColdStart:
    def test_metadata_that_matters_ranks_new_items_far_better_than_chance(self) -> None:
        features = features_of(columns(600), 3)
        assert features is not None
        found = measure_cold_start(community(400, 600), features, config())
        measured = found.measured
        assert measured["items"] > 50
        assert measured["users"] > 100
        assert measured["ndcg@10 content"] > 1.5 * measured["ndcg@10 chance"]
        assert measured["ndcg@10 content"] > 1.5 * measured["ndcg@10 category popularity"]
        assert measured["auc content"] > 0.75 > 0.6 > measured["auc chance"] > 0.4
        assert f"{measured['items']:.0f} held-out items" in found.words()
        assert found.regularization in config().content.regularizations

    def test_metadata_that_means_nothing_is_no_better_than_chance(self) -> None:
        shuffled = columns(160)
        order = np.random.default_rng(5).permutation(160)
        features = features_of(
            ItemColumns(
                titles=shuffled.titles,
                creators=[""] * 160,
                categories=[shuffled.categories[place] for place in order],
                published_at=shuffled.published_at,
                attributes=[{}] * 160,
            ),
            3,
        )
        assert features is not None
        assert measure_cold_start(community(), features, config()).measured["auc content"] < 0.65

    def test_the_same_data_gives_the_same_figures(self) -> None:
        features = features_of(columns(160), 3)
        assert features is not None
        assert measure_cold_start(community(), features, config()) == measure_cold_start(
            community(), features, config()
        )

    def test_too_few_items_are_mapped_all_the_same_and_not_measured(self) -> None:
        matrix = community(20, 24)
        found = map_metadata(columns(24), matrix, np.ones((24, 3), np.float32), matrix, config())
        assert found is not None
        assert found.summary.held_out == {}
        assert found.summary.regularization == 10.0
        assert "too few items" in found.cold_start.words()
