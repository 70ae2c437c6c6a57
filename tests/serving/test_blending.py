"""The list of a blended model, against the definition computed the long way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.manifest import COMPONENTS, BlendSpec
from recsvc.bundle.types import Int32
from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.scoring.blend import FACTORS, NEIGHBOURS, POPULARITY, BlendScorer, bucket_of
from recsvc.serving import sources
from recsvc.serving.cached_list import decode, encode
from recsvc.serving.candidates import NO_REASON, Source
from recsvc.serving.degraded import Degraded
from recsvc.serving.knowledge import Knowledge, of_history
from recsvc.serving.served import ServedModel
from recsvc.serving.unwanted import Unwanted
from tests.builders import AS_OF, BLEND, make_bundle

USERS = [f"u{row:03}" for row in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    return ServedModel(make_bundle(tmp_path_factory.mktemp("models"), kind="blend", blend=BLEND))


def known_of(model: ServedModel, user: str) -> Knowledge:
    history = model.history(user)
    assert history is not None
    return of_history(history)


def scorer_of(model: ServedModel) -> BlendScorer:
    assert model.scorer is not None
    return model.scorer


def liked(known: Knowledge) -> Int32:
    return known.items[known.confidence > 0]


def with_only(directory: Path, component: str) -> ServedModel:
    weights = {name: [float(name == component)] for name in COMPONENTS}
    spec = BlendSpec.model_validate({"bounds": [], "weights": weights})
    return ServedModel(make_bundle(directory, kind="blend", blend=spec))


class TestKnownUser:
    def test_list_is_the_offline_ranking_of_the_bundle_to_the_bit(self, model: ServedModel) -> None:
        bundle, content = model.bundle, set(model.view.changed.content.rows.tolist())
        for user in USERS:
            known = known_of(model, user)
            found = sources.for_user(model, known, (), 100, AS_OF)
            allowed = np.ones(len(bundle.items), dtype=np.bool_)
            allowed[known.items] = False
            allowed[list(content)] = False
            assert known.row is not None
            rows, scores = scorer_of(model).top(bundle.user_factors[known.row], liked(known), 100, allowed)
            trained = found.sources != Source.CONTENT
            online = found.rows[trained & (found.scores > 0)][: int((scores > 0).sum())]
            assert online.tolist() == rows[: len(online)].tolist()
            assert found.scores[trained][: len(online)].tolist() == scores[: len(online)].tolist()

    def test_users_of_every_bucket_are_among_them(self, model: ServedModel) -> None:
        buckets = {bucket_of(BLEND, len(liked(known_of(model, user)))) for user in USERS}
        assert buckets == {0, 1, 2}

    def test_source_is_what_adds_most_to_the_score(self, model: ServedModel) -> None:
        of_component = {FACTORS: Source.ALS, NEIGHBOURS: Source.NEIGHBOURS, POPULARITY: Source.POPULAR}
        seen = set()
        for user in USERS:
            known = known_of(model, user)
            found = sources.for_user(model, known, (), 30, AS_OF)
            assert known.row is not None
            vector = model.bundle.user_factors[known.row]
            for row, source in zip(found.rows, found.sources, strict=True):
                if source != Source.CONTENT:
                    parts = scorer_of(model).contributions(vector, liked(known), np.array([row], dtype=np.int32))
                    assert source == of_component[int(np.argmax(parts[:, 0]))]
                    seen.add(int(source))
        assert seen == {Source.ALS, Source.NEIGHBOURS, Source.POPULAR}

    def test_reasons_are_the_own_items_with_the_largest_weighted_terms(self, model: ServedModel) -> None:
        bundle = model.bundle
        assert bundle.neighbours is not None
        for user in USERS[:10]:
            known = known_of(model, user)
            found = sources.for_user(model, known, (), 20, AS_OF)
            own = liked(known)
            weights = scorer_of(model).weights(len(own))
            factors = bundle.item_factors.astype(np.float64)
            extra = np.abs(known.confidence.astype(np.float64)) - 1
            system = np.diag(bundle.gram) + (factors[known.items].T * extra) @ factors[known.items] + np.eye(8)
            confidence = known.confidence[known.confidence > 0]
            for row, source, reasons in zip(found.rows, found.sources, found.reasons, strict=True):
                if not Source(source).by_model:
                    continue
                terms = (
                    weights[FACTORS]
                    * confidence
                    * (factors[own] @ np.linalg.solve(system, model.view.vectors(np.array([row]))[0]))
                )
                for place, item in enumerate(own):
                    spoken_for, values = bundle.neighbours.of(item)
                    terms[place] += weights[NEIGHBOURS] * values[spoken_for == row].sum()
                order = np.argsort(-terms, kind="stable")[:2]
                assert [r for r in reasons.tolist() if r != NO_REASON] == own[order[terms[order] > 0]].tolist()

    def test_a_popular_candidate_is_explained_by_its_category(self, tmp_path: Path) -> None:
        model = with_only(tmp_path, "popularity")
        found = sources.for_user(model, known_of(model, "u003"), (), 20, AS_OF)
        assert set(found.sources.tolist()) == {Source.POPULAR}
        for row, code in zip(found.rows, found.reasons[:, 0], strict=True):
            assert model.view.category_name(int(code)) in model.view.categories(int(row))

    @pytest.mark.parametrize("component", ["neighbours", "popularity", "spectrum"])
    def test_without_factors_nobody_is_folded_in(self, tmp_path: Path, component: str) -> None:
        bundle = with_only(tmp_path, component).bundle
        singular = ServedModel(replace(bundle, gram=np.full_like(bundle.gram, -1e9)))
        found = sources.for_user(singular, known_of(singular, "u001"), (), 20, AS_OF)
        assert Degraded.FOLD_IN not in found.degraded
        by_neighbours = found.sources == Source.NEIGHBOURS
        assert by_neighbours.any() == (component != "popularity")
        assert (found.reasons[by_neighbours, 0] != NO_REASON).all()

    def test_what_no_neighbour_speaks_for_is_left_to_the_other_sources(self, tmp_path: Path) -> None:
        model = with_only(tmp_path, "neighbours")
        known = known_of(model, "u001")
        found = sources.for_user(model, known, (), 1_000, AS_OF)
        own = found.sources == Source.NEIGHBOURS
        scores = scorer_of(model).score(np.zeros(8, np.float32), liked(known), found.rows)
        np.testing.assert_array_equal(scores > 0, own)
        assert own.argmin() == own.sum()
        assert set(found.rows.tolist()) == set(range(300)) - set(known.items.tolist())

    def test_a_history_that_cannot_be_folded_in_uses_the_stored_factor_and_says_so(self, model: ServedModel) -> None:
        singular = ServedModel(replace(model.bundle, gram=np.full_like(model.bundle.gram, -1e9)))
        known = known_of(model, "u001")
        found = sources.for_user(singular, known, (), 20, AS_OF)
        assert Degraded.FOLD_IN in found.degraded
        assert found.rows.tolist() == sources.for_user(model, known, (), 20, AS_OF).rows.tolist()
        anonymous = replace(known, row=None, fresh=np.ones(len(known.items), dtype=np.bool_))
        assert Source.NEIGHBOURS in sources.for_user(singular, anonymous, (), 20, AS_OF).sources

    def test_a_cached_list_is_read_back_as_it_was(self, model: ServedModel) -> None:
        found = sources.for_user(model, known_of(model, "u005"), (), 50, AS_OF)
        read = decode(encode(found, model.bundle, model.view), model.bundle, model.view)
        assert read is not None
        for name in ("rows", "scores", "sources", "reasons"):
            np.testing.assert_array_equal(getattr(read, name), getattr(found, name))


class TestSession:
    @pytest.mark.parametrize("count", [1, 3, 6, 12])
    def test_a_few_likes_have_the_weights_of_their_bucket(self, model: ServedModel, count: int) -> None:
        items = np.arange(10, 10 + count, dtype=np.int32)
        everything = np.ones(count, dtype=np.bool_)
        known = Knowledge(None, items, np.full(count, 5.0, np.float32), everything, items)
        found = sources.for_user(model, known, (), 20, AS_OF)
        vector = sources._fold_in(model, known).vector
        trained = found.sources != Source.CONTENT
        expected = scorer_of(model).score(vector, items, found.rows[trained])
        np.testing.assert_array_equal(found.scores[trained], expected)

    def test_only_dislikes_give_a_newcomers_list(self, model: ServedModel) -> None:
        disliked = np.arange(3, dtype=np.int32)
        known = Knowledge(None, disliked, np.full(3, -4.0, np.float32), np.ones(3, dtype=np.bool_), disliked)
        found = sources.for_user(model, known, (), 50, AS_OF)
        assert set(found.sources.tolist()) <= {Source.TRENDING, Source.POPULAR}


@pytest.mark.parametrize("depth", [5, 60, 400])
@pytest.mark.parametrize("user", ["u000", "u004", "u017"])
def test_the_ranking_is_that_of_the_final_scores(model: ServedModel, user: str, depth: int) -> None:
    items = LiveItems()
    for number in range(0, 300, 3):
        items.put(LiveItem(f"v{number:03}", categories=("music",), quality=0.4))
    items.put(LiveItem("new", categories=("music",), attributes={"language": "pt"}))
    changed = ServedModel(model.bundle, items)
    known = replace(known_of(changed, user), unwanted=Unwanted(creators={}, topics={"travel": 0.5, "sport": 0.0}))
    found = sources.for_user(changed, known, (), depth, AS_OF)
    assert known.row is not None
    vector, weights = model.bundle.user_factors[known.row], scorer_of(model).weights(len(liked(known)))
    expected = {}
    for row in range(301):
        categories = changed.view.categories(row)
        live = changed.view.live(row)
        factor = (1.0 if live is None else live.quality) * (0.5 if "travel" in categories else 1.0)
        if changed.view.by_content(np.int32([row]))[0]:
            score = weights[FACTORS] * float(changed.view.vectors(np.array([row], np.int32))[0] @ vector)
        else:
            score = float(scorer_of(model).score(vector, liked(known), np.array([row], np.int32))[0])
        if score > 0 and row not in known.items and "sport" not in categories:
            expected[row] = score * factor
    best = sorted(expected.values(), reverse=True)[:depth]
    np.testing.assert_allclose([expected[int(row)] for row in found.rows[: len(best)]], best, rtol=1e-5, atol=1e-6)
