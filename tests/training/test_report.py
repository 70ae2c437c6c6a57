from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import DataSummary, IndexPoint, IndexSummary
from recsvc.bundle.types import NO_TIME, Catalogue, IdTable, Interactions, StringTable
from recsvc.bundle.writer import Contents
from training.compare import gate
from training.evaluate import evaluate
from training.index import build_index
from training.rankers import FactorRanker, PopularityRanker
from training.report.examples import ExampleUser, example_lists
from training.report.render import ReportInput, render
from training.sources.dataset import Rejects
from training.split import Split

N_USERS, N_ITEMS = 80, 50
HOSTILE = "<script>alert('x')</script> & \"$\\frac\" {{ 7 * 7 }}"


def report_input(model: str = "als") -> ReportInput:
    rng = np.random.default_rng(0)
    draw = rng.random((N_USERS, N_ITEMS))
    train = csr_matrix(np.where(draw < 0.2, 3.0, 0).astype(np.float32))
    split = Split(
        kind="leave_last_out",
        train=train,
        seen=train.sign(),
        test=csr_matrix((draw > 0.95).astype(np.float32)),
        popularity=np.asarray(train.sum(axis=0), dtype=np.float32).ravel(),
        candidates=None,
        notes={"held-out pairs": 1234.0, "cut (Unix seconds)": 1480000000.0},
    )
    factors = FactorRanker(
        model,
        rng.standard_normal((N_USERS, 4)).astype(np.float32),
        rng.standard_normal((N_ITEMS, 4)).astype(np.float32),
    )
    evaluation = evaluate([factors, PopularityRanker(split.popularity)], split, seed=0)
    per_user = evaluation.per_user[model]["ndcg@10"]
    return ReportInput(
        version="20260102T030405Z-abcdef",
        plan={"source": {"name": "deskdrop", "catalogue": None}, "config": {"als": {"factors": 64}}},
        data=DataSummary(
            name="deskdrop",
            fingerprint="f" * 64,
            events=72312,
            rejected=3,
            interactions=40000,
            first_event="2016-03-14T00:00:00Z",
            last_event="2017-02-28T00:00:00Z",
        ),
        rejects=Rejects(total=3, by_reason={"the item id is empty": 3}, path="/somewhere/deep/rejects.csv"),
        split=split,
        evaluation=evaluation,
        gate=gate(per_user, None, champion=None, metric="ndcg@10", tolerance=0.02),
        index=IndexSummary(kind="IndexFlatIP", exact=True, recall_at_100=1.0, queries=200, search_ms_median=0.123),
        seconds={"reading deskdrop": 1.5, "fitting on everything": 2.5},
        popularity=split.popularity,
        examples=(ExampleUser("u1", 2, ("First liked", "Second liked"), ("Shown one", "Shown two")),),
    )


class Page(HTMLParser):
    """What of a page a test asks for: its tags, its attributes, its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_shows_the_run() -> None:
    report = report_input()
    page = Page(render(report))
    for words in (
        report.version,
        "72,312 events",
        "40,000 interactions",
        "2016-03-14T00:00:00Z",
        report.gate.message,
        "leave last out",
        "the item id is empty",
        "rejects.csv",
        "1,234",
        "1480000000",
        "IndexFlatIP",
        "0.123 ms",
        "config.als.factors",
        "not set",
        "Second liked",
        "Shown two",
        "reading deskdrop",
        "f" * 64,
    ):
        assert words in page.words, words
    assert "/somewhere/deep" not in page.words


def test_the_table_holds_every_metric_of_every_model() -> None:
    report = report_input()
    html = render(report)
    for model, values in report.evaluation.means().items():
        assert f'<th scope="col">{model}</th>' in html
        for metric, value in values.items():
            row = re.search(rf'<tr><th scope="row">{re.escape(metric)}</th>(.*?)</tr>', html, re.DOTALL)
            assert row is not None, metric
            assert f"{value:.4f}" in row[1]


def test_the_page_needs_nothing_from_outside() -> None:
    page = Page(render(report_input()))
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    references = [v for name, v in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith("#") for value in references)
    assert not any(name.startswith("on") for name, _ in page.attributes)


def test_there_is_a_plot_for_each_view_and_ids_are_unique() -> None:
    html = render(replace(report_input(), losses=[3.0, 2.0, 1.5]))
    page = Page(html)
    assert page.tags.count("svg") == 7
    for title in (
        "What accuracy is bought with",
        "Gini of exposure",
        "Accuracy by activity",
        "long tail",
        "Popularity of items",
        "Training loss",
        "Time",
    ):
        assert title in page.words
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value.removeprefix("#") for name, value in page.attributes if name == "xlink:href"}
    assert targets <= set(ids)


def test_plots_take_the_colours_of_the_page() -> None:
    html = render(report_input())
    assert "currentColor" in html
    assert "#010203" not in html
    assert "prefers-color-scheme: dark" in html


def test_the_same_run_renders_the_same_bytes() -> None:
    assert render(report_input()) == render(report_input())


def test_what_the_index_was_chosen_from_is_drawn_where_there_was_a_choice() -> None:
    report = report_input()
    tried = [
        IndexPoint(kind=kind, setting="", recall_at_100=recall, search_ms_median=ms, search_ms_p99=ms)
        for kind, recall, ms in (("IndexFlatIP", 1.0, 9.0), ("pq", 0.9, 1.0), ("pq", 0.97, 2.0))
    ]
    chosen = report.index.model_copy(update={"measured": tried, "latency_budget_ms": 5.0, "recall_target": 0.95})
    assert "Indexes that were tried" in Page(render(replace(report, index=chosen))).words
    assert "Indexes that were tried" not in Page(render(report)).words


def test_hostile_words_are_shown_not_run() -> None:
    report = report_input(model=HOSTILE)
    report = replace(
        report,
        data=report.data.model_copy(update={"name": HOSTILE}),
        rejects=Rejects(total=1, by_reason={HOSTILE: 1}),
        plan={HOSTILE: HOSTILE},
        seconds={HOSTILE: 1.0},
        examples=(ExampleUser(HOSTILE, 1, (HOSTILE,), (HOSTILE,)),),
    )
    page = Page(render(report))
    assert "script" not in page.tags
    assert page.words.count(HOSTILE) >= 7


def test_titles_in_any_script_are_kept() -> None:
    examples = (ExampleUser("用户", 1, ("Кино 🎬",), ("映画",)),)
    words = Page(render(replace(report_input(), examples=examples))).words
    assert all(text in words for text in ("用户", "Кино 🎬", "映画"))


def test_how_the_weights_of_a_blend_were_chosen_is_shown_where_there_is_a_blend() -> None:
    plain = report_input()
    blended = replace(plain, blend="blend, ndcg@10:", blend_groups=("1–2 items: 0.1", "everybody: 0.2 & more"))
    words = Page(render(blended)).words
    assert "Blend, ndcg@10:" in words
    assert "everybody: 0.2 & more" in words
    assert "Blend" not in Page(render(plain)).words


def test_a_refusal_is_marked() -> None:
    report = report_input()
    low, high = np.array([[0.1, 0.1], [0.2, 0.2]], dtype=np.float32)
    verdict = gate(low, high, champion="20260101T000000Z-abcdef", metric="ndcg@10", tolerance=0.02)
    html = render(replace(report, gate=verdict))
    assert '<p class="gate refused">' in html
    assert "50.00% worse" in html
    assert '<p class="gate refused">' not in render(report)


def test_a_run_with_nothing_held_out_still_has_a_report() -> None:
    report = report_input()
    split = replace(report.split, test=csr_matrix((N_USERS, N_ITEMS), dtype=np.float32))
    evaluation = evaluate([PopularityRanker(split.popularity)], split, seed=0)
    silent = replace(
        report, split=split, evaluation=evaluation, examples=(), seconds={}, popularity=np.zeros(N_ITEMS, np.float32)
    )
    assert "0 users with a held-out item" in Page(render(silent)).words


@pytest.fixture
def contents() -> Contents:
    """Three users: one who likes v0 most and dislikes v3, one who likes v1, one who likes nothing."""
    factors = np.eye(4, dtype=np.float32)
    none = np.empty(0, dtype=np.int32)
    return Contents(
        users=IdTable.of(["a", "b", "c"]),
        items=IdTable.of(["v0", "v1", "v2", "v3"]),
        user_factors=np.array([[9, 4, 5, 8], [0, 9, 2, 1], [0, 0, 0, 0]], dtype=np.float32),
        item_factors=factors,
        gram=np.eye(4),
        interactions=Interactions(
            indptr=np.array([0, 3, 4, 4], dtype=np.int64),
            items=np.array([0, 1, 3, 1], dtype=np.int32),
            confidence=np.array([3, 7, -5, 2], dtype=np.float32),
        ),
        popularity=np.ones(4, dtype=np.float32),
        trending=np.zeros(4, dtype=np.float32),
        catalogue=Catalogue(
            titles=StringTable.of(["Zero", "One", "Two", ""]),
            creators=IdTable.of([]),
            creator_of=np.full(4, -1, dtype=np.int32),
            categories=IdTable.of([]),
            item_indptr=np.zeros(5, dtype=np.int64),
            item_categories=none,
            category_indptr=np.zeros(1, dtype=np.int64),
            category_items=none,
            published_at=np.full(4, NO_TIME, dtype=np.int64),
        ),
        index=build_index(factors),
    )


def test_examples_show_the_surest_likes_and_unseen_recommendations_by_title(contents: Contents) -> None:
    quiet, active = example_lists(contents, None)
    assert quiet == ExampleUser("b", 1, ("One",), ("Two", "v3", "Zero"))
    assert active == ExampleUser("a", 2, ("One", "Zero"), ("Two",))
