"""Where candidates come from, against the definition computed the long way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.serving import sources
from recsvc.serving.candidates import CandidateList, Source
from recsvc.serving.degraded import Degraded
from recsvc.serving.knowledge import Knowledge, of_history
from recsvc.serving.served import ServedModel
from tests.builders import AS_OF, make_bundle
from training.als import exact_users


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return ServedModel(make_bundle(tmp_path_factory.mktemp("models")))


def known_of(model: ServedModel, user: str) -> Knowledge:
    history = model.history(user)
    assert history is not None
    return of_history(history)


def prefix(longer: CandidateList, shorter: CandidateList) -> bool:
    return all(
        np.array_equal(getattr(longer, name)[: len(shorter)], getattr(shorter, name))
        for name in ("rows", "sources", "reasons")
    )


class TestKnownUser:
    def test_als_part_is_the_exact_ranking_of_the_stored_factor(self, model: ServedModel) -> None:
        known = known_of(model, "u001")
        found = sources.for_user(model, known, (), 1_000, AS_OF)
        scores = model.bundle.item_factors.astype(np.float64) @ model.bundle.user_factors[known.row]
        scores[known.items] = -np.inf
        best = [int(row) for row in np.argsort(-scores) if scores[row] > 0]
        als = found.rows[found.sources == Source.ALS]
        assert als.tolist() == best
        np.testing.assert_allclose(found.scores[: len(best)], scores[best], rtol=1e-3, atol=1e-5)

    def test_list_goes_on_with_trending_and_popular_items_to_the_end_of_the_catalogue(self, model: ServedModel) -> None:
        known = known_of(model, "u001")
        found = sources.for_user(model, known, (), 1_000, AS_OF)
        allowed = set(range(300)) - set(known.items.tolist())
        assert set(found.rows.tolist()) == allowed
        assert len(found) == len(allowed)
        assert found.complete
        kinds = found.sources.tolist()
        assert kinds.index(Source.TRENDING) > max(place for place, kind in enumerate(kinds) if kind == Source.ALS)

    @pytest.mark.parametrize("categories", [(), ("music",), ("music", "travel")])
    def test_a_longer_list_begins_with_the_shorter_one(self, model: ServedModel, categories: tuple[str, ...]) -> None:
        lists = [sources.for_user(model, known_of(model, "u009"), categories, depth, AS_OF) for depth in (20, 120, 400)]
        assert prefix(lists[1], lists[0])
        assert prefix(lists[2], lists[1])
        assert not lists[0].complete

    def test_a_history_that_cannot_be_folded_in_uses_the_stored_factor_and_says_so(self, model: ServedModel) -> None:
        singular = replace(model.bundle, gram=np.full_like(model.bundle.gram, -1e9))
        known = known_of(model, "u001")
        found = sources.for_user(ServedModel(singular), known, (), 20, AS_OF)
        assert Degraded.FOLD_IN in found.degraded
        assert found.rows.tolist() == sources.for_user(model, known, (), 20, AS_OF).rows.tolist()

    def test_a_history_alone_folds_in_to_the_stored_factor(self, model: ServedModel) -> None:
        for user in ("u000", "u007", "u031"):
            known = known_of(model, user)
            assert known.row is not None
            stored = model.bundle.user_factors[known.row]
            np.testing.assert_allclose(sources._fold_in(model, known).vector, stored, rtol=1e-4, atol=1e-5)

    def test_so_it_does_under_frequency_scaled_regularisation(self, model: ServedModel) -> None:
        bundle = model.bundle
        interactions = (bundle.interactions.confidence, bundle.interactions.items, bundle.interactions.indptr)
        matrix = csr_matrix(interactions, shape=(len(bundle.users), len(bundle.items)))
        users = exact_users(matrix, bundle.item_factors, 0.1, 1.0).users
        objective = bundle.manifest.objective.model_copy(update={"regularization": 0.1, "frequency_exponent": 1.0})
        manifest = bundle.manifest.model_copy(update={"objective": objective})
        scaled = ServedModel(replace(bundle, manifest=manifest, user_factors=users))
        for user in ("u000", "u007", "u031"):
            known = known_of(scaled, user)
            vector = sources._fold_in(scaled, known).vector
            np.testing.assert_allclose(vector, users[known.row], rtol=1e-4, atol=1e-6)
            assert not np.allclose(vector, sources._fold_in(model, known).vector, rtol=1e-2)


class TestNewcomer:
    @pytest.mark.parametrize("categories", [(), ("music",), ("music", "travel")])
    def test_a_longer_list_begins_with_the_shorter_one(self, model: ServedModel, categories: tuple[str, ...]) -> None:
        lists = [sources.for_newcomer(model, categories, depth, AS_OF) for depth in (7, 50, 120, 1_000)]
        assert all(prefix(longer, shorter) for shorter, longer in itertools.pairwise(lists))

    def test_categories_take_turns(self, model: ServedModel) -> None:
        found = sources.for_newcomer(model, (), 40, AS_OF)
        codes = found.reasons[:, 0].reshape(-1, 4)
        assert (np.sort(codes, axis=1) == np.arange(4)).all()

    def test_reason_is_a_category_of_the_item(self, model: ServedModel) -> None:
        found = sources.for_newcomer(model, ("music", "sport"), 100, AS_OF)
        for row, code in zip(found.rows, found.reasons[:, 0], strict=True):
            assert model.bundle.catalogue.categories[int(code)] in model.bundle.catalogue.categories_of(row)

    def test_a_catalogue_without_categories_still_gives_a_full_list(self, model: ServedModel) -> None:
        empty = np.empty(0, dtype=np.int32)
        plain = replace(
            model.bundle.catalogue,
            categories=type(model.bundle.catalogue.categories).of([]),
            item_indptr=np.zeros(301, dtype=np.int64),
            item_categories=empty,
            category_indptr=np.zeros(1, dtype=np.int64),
            category_items=empty,
        )
        found = sources.for_newcomer(ServedModel(replace(model.bundle, catalogue=plain)), (), 50, AS_OF)
        assert len(set(found.rows.tolist())) == 50
        assert set(found.reasons[:, 0].tolist()) == {-1}

    def test_without_times_everything_is_popular_and_it_says_so(self, tmp_path: Path) -> None:
        found = sources.for_newcomer(ServedModel(make_bundle(tmp_path, has_time=False)), (), 50, AS_OF)
        assert set(found.sources.tolist()) == {Source.POPULAR}
        assert found.degraded == (Degraded.TRENDING,)


class TestSession:
    def test_the_stored_history_gives_the_stored_users_list(self, model: ServedModel) -> None:
        known = known_of(model, "u011")
        session = replace(known, row=None, fresh=np.ones(len(known.items), dtype=np.bool_))
        stored = sources.for_user(model, known, (), 100, AS_OF)
        assert sources.for_user(model, session, (), 100, AS_OF).rows.tolist() == stored.rows.tolist()

    def test_only_dislikes_give_a_newcomers_list_without_them(self, model: ServedModel) -> None:
        disliked = sources.for_newcomer(model, (), 3, AS_OF).rows
        known = Knowledge(None, disliked, np.full(3, -4.0, np.float32), np.ones(3, dtype=np.bool_), disliked)
        assert not known.has_positive
        found = sources.for_user(model, known, (), 100, AS_OF)
        assert not set(found.rows.tolist()) & set(disliked.tolist())
        assert Source.ALS not in found.sources
