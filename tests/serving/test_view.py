"""The catalogue as it is now: followed change by change, and the same as if it were built anew."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.bundle.types import Bundle
from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.scoring.content import content_vector
from recsvc.serving import sources
from recsvc.serving.candidates import Source
from recsvc.serving.eligible import Eligible, eligible
from recsvc.serving.knowledge import Knowledge, of_history
from recsvc.serving.served import ServedModel
from recsvc.serving.unwanted import Unwanted
from recsvc.serving.view import LiveView
from tests.builders import AS_OF, make_bundle
from training.index import build_index

NAMES = [f"v{number:03}" for number in range(0, 60, 10)] + [f"new-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Items v000 to v059; nobody met v050 to v059."""
    made = make_bundle(tmp_path_factory.mktemp("models"), n_items=60, n_users=30)
    factors, popularity = made.item_factors.copy(), made.popularity.copy()
    factors[50:], popularity[50:] = 0, 0
    gram = factors.astype(np.float64).T @ factors
    return replace(
        made, item_factors=factors, popularity=popularity, gram=gram, index=build_index(factors), orders=None
    )


changes = st.builds(
    LiveItem,
    item_id=st.sampled_from(NAMES),
    title=st.sampled_from(["", "A title"]),
    creator=st.sampled_from(["", "creator-1", "c-new"]),
    categories=st.sets(st.sampled_from(["cooking", "music", "gardens", "boats"])).map(lambda s: tuple(sorted(s))),
    published_at=st.sampled_from([None, AS_OF - 1e6, AS_OF + 1e6]),
    expires_at=st.sampled_from([None, AS_OF - 1.0, AS_OF + 2e6]),
    hidden=st.booleans(),
    deleted=st.sampled_from([False, False, False, True]),
    quality=st.sampled_from([0.0, 0.5, 1.0]),
    attributes=st.sampled_from([{}, {"language": "pt"}]),
)


def everything(view: LiveView) -> dict[str, object]:
    """What the view says of each item by its id, rows left out: they depend on the order of the changes."""
    among = eligible(view, (), AS_OF)
    named = {view.item_id(row): row for row in range(among.changed.n_rows)}
    inside = {
        category: {view.item_id(int(row)) for row in view.rows_in(category, among.changed)}
        for category in ("cooking", "music", "sport", "gardens", "boats")
    }
    by = {
        name: {view.item_id(int(row)) for row in view.rows_by(name, among.changed)} for name in ("creator-1", "c-new")
    }
    items = {
        name: (
            bool(among.allowed[row]),
            1.0 if among.factors is None else float(among.factors[row]),
            view.title(row),
            view.creator(row),
            sorted(view.categories(row)),
            sorted(view.category_name(code) for code in view.category_codes(row)),
            view.published_at(row),
            view.vectors(np.array([row], np.int32))[0].round(4).tolist(),
        )
        for name, row in named.items()
    }
    return {"items": items, "in": inside, "by": by}


@given(made=st.lists(changes, max_size=25), data=st.data())
@settings(max_examples=60, deadline=None)
def test_following_changes_gives_what_building_anew_gives(
    bundle: Bundle, made: list[LiveItem], data: st.DataObject
) -> None:
    items = LiveItems()
    view = LiveView(bundle, items)
    for item in made:
        items.put(item)
        if data.draw(st.booleans()):
            view.refresh()
    view.refresh()
    followed, anew = everything(view), everything(LiveView(bundle, items))
    # What was deleted before it was ever shown has a row in one of them only.
    shown = anew["items"]
    assert {name: each for name, each in followed["items"].items() if name in shown} == shown
    assert all(items.get(name).deleted for name in set(followed["items"]) - set(shown))
    gone = {item.item_id for item in items if item.deleted}
    assert {name: rows - gone for name, rows in followed["in"].items()} == {
        name: rows - gone for name, rows in anew["in"].items()
    }
    assert {name: rows - gone for name, rows in followed["by"].items()} == {
        name: rows - gone for name, rows in anew["by"].items()
    }


@given(made=st.lists(changes, max_size=10))
@settings(max_examples=40, deadline=None)
def test_an_item_may_come_when_its_record_says_so(bundle: Bundle, made: list[LiveItem]) -> None:
    items = LiveItems()
    for item in made:
        items.put(item)
    view = LiveView(bundle, items)
    for now in (AS_OF, AS_OF + 1.5e6, AS_OF + 3e6):
        allowed = eligible(view, (), now).allowed
        for item in items:
            row = view.row_of(item.item_id)
            assert row is None or bool(allowed[row]) == item.shown_at(now)
            assert row is None or view.not_shown([row], now) == (set() if item.shown_at(now) else {row})


def test_items_that_nobody_met_have_a_vector_by_content(bundle: Bundle) -> None:
    view = LiveView(bundle, LiveItems())
    assert bundle.content is not None
    assert set(view.changed.content.rows.tolist()) == set(range(50, 60))
    expected = content_vector(bundle.content, ["category:cooking", "creator:creator-3"])
    assert expected is not None
    np.testing.assert_allclose(view.vectors(np.array([52], np.int32))[0], expected, rtol=1e-5)
    assert view.by_content(np.int32([52, 10])).tolist() == [True, False]


def test_without_a_content_map_there_is_none(tmp_path: Path) -> None:
    items = LiveItems()
    items.put(LiveItem("new", categories=("music",)))
    view = LiveView(make_bundle(tmp_path, n_items=30, n_users=3, has_content=False), items)
    assert not view.vectors(np.array([30], np.int32)).any()


def model_of(bundle: Bundle, *live: LiveItem) -> ServedModel:
    items = LiveItems()
    for item in live:
        items.put(item)
    return ServedModel(bundle, items)


def personal(model: ServedModel, user: str, unwanted: Unwanted, depth: int) -> tuple[Knowledge, Eligible, list[int]]:
    known = replace(of_history(model.history(user)), unwanted=unwanted)
    among = eligible(model.view, (), AS_OF, consumed=known.consumed, unwanted=unwanted)
    found = sources.for_user(model, known, (), depth, AS_OF)
    by_model = np.isin(found.sources, [Source.ALS, Source.CONTENT])
    return known, among, found.rows[by_model].tolist()


@given(
    made=st.lists(changes, max_size=15),
    topics=st.dictionaries(st.sampled_from(["cooking", "music", "gardens"]), st.sampled_from([0.0, 0.3, 0.9])),
    creators=st.dictionaries(st.sampled_from(["creator-1", "c-new"]), st.sampled_from([0.0, 0.6])),
    user=st.integers(0, 29),
    depth=st.sampled_from([5, 20, 200]),
)
@settings(max_examples=80, deadline=None)
def test_the_ranking_is_that_of_the_final_scores(
    bundle: Bundle, made: list[LiveItem], topics: dict[str, float], creators: dict[str, float], user: int, depth: int
) -> None:
    model = model_of(bundle, *made)
    known, among, rows = personal(model, f"u{user:03}", Unwanted(creators=creators, topics=topics), depth)
    if not known.has_positive:
        return
    view = model.view
    expected = {}
    vector = sources._fold_in(model, known).vector
    for row in range(among.changed.n_rows):
        item = view.live(row)
        factor = 1.0 if item is None else item.quality
        for category in view.categories(row):
            factor *= topics.get(category, 1.0)
        factor *= creators.get(view.creator(row) or "", 1.0)
        score = float(view.vectors(np.array([row], np.int32))[0] @ vector) * factor
        if score > 1e-6 and row not in known.consumed and not view.not_shown([row], AS_OF):
            expected[row] = score
    best = sorted(expected.values(), reverse=True)[:depth]
    np.testing.assert_allclose([expected[row] for row in rows], best, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("source", [Source.POPULAR, Source.TRENDING, Source.LATEST])
def test_lists_of_everybody_are_sorted_by_what_remains_of_the_scores(bundle: Bundle, source: Source) -> None:
    plain = sources.everybodys(ServedModel(bundle), source, (), 50, AS_OF)
    own = plain.rows[plain.sources == source].tolist()
    lowered = [bundle.items[row] for row in own[:3]]
    catalogue = bundle.catalogue
    live = [
        LiveItem(
            name,
            creator=catalogue.creator(row) or "",
            categories=tuple(catalogue.categories_of(row)),
            published_at=float(catalogue.published_at[row]),
            quality=0.25,
        )
        for name, row in zip(lowered, own, strict=False)
    ]
    model = model_of(bundle, *live)
    for categories in ((), ("cooking", "music", "sport", "travel")):
        found = sources.everybodys(model, source, categories, 50, AS_OF)
        rows = found.rows[found.sources == source].tolist()
        assert set(rows) == set(own)
        assert rows[:3] != own[:3]
        assert [row for row in rows if row not in own[:3]] == own[3:]
        scores = found.scores[found.sources == source]
        assert (np.diff(scores) <= 0).all()


def test_a_newcomers_list_follows_categories_that_changed(bundle: Bundle) -> None:
    plain = sources.for_newcomer(ServedModel(bundle), ("music",), 10, AS_OF)
    first = bundle.items[int(plain.rows[0])]
    model = model_of(bundle, LiveItem(first, categories=("boats",)), LiveItem("new", categories=("music",)))
    found = sources.for_newcomer(model, ("music",), 100, AS_OF)
    names = [model.view.item_id(int(row)) for row in found.rows]
    assert first not in names
    assert names[-1] == "new"
    assert found.complete


def test_lists_can_be_computed_while_the_catalogue_changes(bundle: Bundle) -> None:
    items = LiveItems()
    model = ServedModel(bundle, items)
    known = of_history(model.history("u003"))
    failures: list[BaseException] = []
    done = threading.Event()

    def compute() -> None:
        try:
            while not done.is_set():
                sources.for_user(model, known, (), 100, AS_OF)
                sources.for_newcomer(model, ("music", "gardens"), 100, AS_OF)
                sources.everybodys(model, Source.LATEST, ("gardens",), 100, AS_OF)
                sources.like_item(model, 7, 100, AS_OF)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(600):
        items.put(LiveItem(f"new-{number}", categories=("gardens", "music"), published_at=AS_OF - number))
        items.put(LiveItem(f"v{number % 60:03}", categories=("gardens",) if number % 2 else (), quality=0.5))
        model.view.refresh()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
