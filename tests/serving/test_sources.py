"""Where candidates come from, against the definition computed the long way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.types import UserRow
from recsvc.serving import sources
from recsvc.serving.candidates import CandidateList, Source
from recsvc.serving.degraded import Degraded
from recsvc.serving.served import History, ServedModel
from tests.builders import make_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return ServedModel(make_bundle(tmp_path_factory.mktemp("models")))


def history_of(model: ServedModel, user: str) -> History:
    history = model.history(user)
    assert history is not None
    return history


def prefix(longer: CandidateList, shorter: CandidateList) -> bool:
    return all(
        np.array_equal(getattr(longer, name)[: len(shorter)], getattr(shorter, name))
        for name in ("rows", "sources", "reasons")
    )


class TestKnownUser:
    def test_als_part_is_the_exact_ranking_of_the_stored_factor(self, model: ServedModel) -> None:
        history = history_of(model, "u001")
        found = sources.for_known(model, history, (), 1_000)
        scores = model.bundle.item_factors.astype(np.float64) @ model.bundle.user_factors[history.row]
        scores[history.items] = -np.inf
        best = [int(row) for row in np.argsort(-scores) if scores[row] > 0]
        als = found.rows[found.sources == Source.ALS]
        assert als.tolist() == best
        np.testing.assert_allclose(found.scores[: len(best)], scores[best], rtol=1e-3, atol=1e-5)

    def test_list_goes_on_with_trending_and_popular_items_to_the_end_of_the_catalogue(self, model: ServedModel) -> None:
        history = history_of(model, "u001")
        found = sources.for_known(model, history, (), 1_000)
        allowed = set(range(300)) - set(history.items.tolist())
        assert set(found.rows.tolist()) == allowed
        assert len(found) == len(allowed)
        assert found.complete
        kinds = found.sources.tolist()
        assert kinds.index(Source.TRENDING) > max(place for place, kind in enumerate(kinds) if kind == Source.ALS)

    @pytest.mark.parametrize("categories", [(), ("music",), ("music", "travel")])
    def test_a_longer_list_begins_with_the_shorter_one(self, model: ServedModel, categories: tuple[str, ...]) -> None:
        lists = [sources.for_known(model, history_of(model, "u009"), categories, depth) for depth in (20, 120, 400)]
        assert prefix(lists[1], lists[0])
        assert prefix(lists[2], lists[1])
        assert not lists[0].complete

    def test_a_history_that_cannot_be_folded_in_uses_the_stored_factor_and_says_so(self, model: ServedModel) -> None:
        singular = replace(model.bundle, gram=np.full_like(model.bundle.gram, -1e9))
        history = history_of(model, "u001")
        found = sources.for_known(ServedModel(singular), history, (), 20)
        assert Degraded.FOLD_IN in found.degraded
        assert found.rows.tolist() == sources.for_known(model, history, (), 20).rows.tolist()


class TestNewcomer:
    @pytest.mark.parametrize("categories", [(), ("music",), ("music", "travel")])
    def test_a_longer_list_begins_with_the_shorter_one(self, model: ServedModel, categories: tuple[str, ...]) -> None:
        lists = [sources.for_newcomer(model, categories, depth) for depth in (7, 50, 120, 1_000)]
        assert all(prefix(longer, shorter) for shorter, longer in itertools.pairwise(lists))

    def test_categories_take_turns(self, model: ServedModel) -> None:
        found = sources.for_newcomer(model, (), 40)
        codes = found.reasons[:, 0].reshape(-1, 4)
        assert (np.sort(codes, axis=1) == np.arange(4)).all()

    def test_reason_is_a_category_of_the_item(self, model: ServedModel) -> None:
        found = sources.for_newcomer(model, ("music", "sport"), 100)
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
        found = sources.for_newcomer(ServedModel(replace(model.bundle, catalogue=plain)), (), 50)
        assert len(set(found.rows.tolist())) == 50
        assert set(found.reasons[:, 0].tolist()) == {-1}

    def test_without_times_everything_is_popular_and_it_says_so(self, tmp_path: Path) -> None:
        found = sources.for_newcomer(ServedModel(make_bundle(tmp_path, has_time=False)), (), 50)
        assert set(found.sources.tolist()) == {Source.POPULAR}
        assert found.degraded == (Degraded.TRENDING,)


class TestSession:
    def test_the_stored_history_gives_the_stored_users_list(self, model: ServedModel) -> None:
        history = history_of(model, "u011")
        known = sources.for_known(model, history, (), 100)
        session = sources.for_session(model, history.items, history.confidence, history.items, (), 100)
        assert session.rows.tolist() == known.rows.tolist()

    def test_only_dislikes_give_a_newcomers_list_without_them(self, model: ServedModel) -> None:
        disliked = sources.for_newcomer(model, (), 3).rows
        confidence = np.full(3, -4.0, dtype=np.float32)
        found = sources.for_session(model, disliked, confidence, disliked, (), 100)
        assert not set(found.rows.tolist()) & set(disliked.tolist())
        assert Source.ALS not in found.sources


class TestUserWithDislikesOnly:
    def test_is_answered_like_a_newcomer(self, model: ServedModel) -> None:
        items = np.array([1, 2], dtype=np.int32)
        assert not History(UserRow(0), items, np.array([-3.0, -1.0], dtype=np.float32)).has_positive
        assert History(UserRow(0), items, np.array([-3.0, 1.1], dtype=np.float32)).has_positive
