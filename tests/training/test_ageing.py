"""Training up to a day and testing on the weeks after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.events import DAY, START, Row, make_dataset
from training.ageing import Ageing, measure_ageing
from training.config import RunConfig, load_config
from training.curves import ageing_section, rolling_section
from training.errors import DataInvalid
from training.progress import Progress
from training.sources.dataset import Dataset
from training.split import split_between

QUIET = Progress(quiet=True)
WEEKS = 12


def config(*, cuts: int = 3, weeks: int = 3, least_users: int = 20) -> RunConfig:
    settings = load_config("built", None)
    als = settings.als.model_copy(update={"factors": 6, "iterations": 6, "regularization": 1.0})
    ageing = settings.ageing.model_copy(update={"cuts": cuts, "weeks": weeks, "least_users": least_users})
    return settings.model_copy(update={"als": als, "ageing": ageing})


def dataset(*, fresh: bool, n_users: int = 45) -> Dataset:
    """Users of three topics who like four items of theirs a week; with `fresh` each week has items of its own, which
    users meet in that week and the next."""
    rng = np.random.default_rng(4)
    rows: list[Row] = []
    for user in range(n_users):
        topic = user % 3
        for week in range(WEEKS):
            at = [week - 1, week] if fresh else [0]
            pool = [f"w{max(when, 0):02}-t{topic}-{item}" for when in at for item in range(8 if fresh else 60)]
            chosen = rng.permutation(pool)[:4].tolist()
            rows += [(f"u{user:02}", item, "like", 7.0 * week + place, None) for place, item in enumerate(chosen)]
    return make_dataset(rows)


@pytest.fixture(scope="module")
def aged() -> Ageing:
    return measure_ageing(dataset(fresh=True), config(), QUIET)


def test_a_model_falls_behind_where_new_items_keep_coming(aged: Ageing) -> None:
    assert list(aged.aged) == [2, 3]
    for step in aged.aged.values():
        assert step.everything.relative is not None
        assert step.everything.relative < -0.2
        assert step.everything.n_users > 20
    assert aged.aged[3].everything.mean_b <= aged.aged[2].everything.mean_b


def test_a_model_of_a_world_that_stands_still_hardly_ages() -> None:
    found = measure_ageing(dataset(fresh=False), config(), QUIET)
    second = found.aged[2].everything
    assert second.relative is not None
    assert abs(second.relative) < 0.2
    assert found.aged[2].known.mean_a == pytest.approx(second.mean_a), "every item was met by either model"


def test_cuts_are_weeks_of_the_last_half_counted_from_the_end(aged: Ageing) -> None:
    events = dataset(fresh=True).events
    last, middle = events.timestamps.max(), (events.timestamps.min() + events.timestamps.max()) / 2
    assert len(aged.cuts) == 3
    for cut in aged.cuts:
        assert middle <= cut.at < last
        assert (last - cut.at) % (7 * DAY) == pytest.approx(0)
        assert cut.n_users >= 20
    assert set(aged.cuts[0].means) == {"model", "item-item", "popularity"}
    assert set(aged.against) == {"item-item", "popularity"}
    assert {step.n_users for step in aged.against.values()} == {sum(cut.n_users for cut in aged.cuts)}


def test_nothing_after_the_week_is_trained_on_or_tested_on() -> None:
    whole = dataset(fresh=True)
    events = whole.events
    recipe = config().interactions.recipe()
    cut, until = START + 30 * DAY, START + 37 * DAY
    split = split_between(whole, recipe, cut, until)
    before = {(u, i) for u, i, t in zip(events.users, events.items, events.timestamps, strict=True) if t <= cut}
    during = {(u, i) for u, i, t in zip(events.users, events.items, events.timestamps, strict=True) if cut < t <= until}
    met_items = {i for _, i in before}
    assert set(zip(*split.seen.nonzero(), strict=True)) == before
    assert set(zip(*split.test.nonzero(), strict=True)) == {p for p in during - before if p[1] in met_items}
    assert split.notes["cut (Unix seconds)"] <= cut


def test_the_tables_and_the_sentence_say_what_was_found(aged: Ageing) -> None:
    rolling, ageing = rolling_section(aged), ageing_section(aged)
    assert [row[0] for row in rolling.rows[-2:]] == ["mean", "standard deviation"]
    assert len(rolling.rows) == len(aged.cuts) + 2
    mean = np.mean([cut.means["model"]["ndcg@10"] for cut in aged.cuts])
    assert rolling.rows[-2][2] == f"{mean:.4f}"
    assert [row[0] for row in ageing.rows] == ["2", "2", "3", "3"]
    assert aged.aged[2].everything.relative is not None
    assert f"1 week without retraining: {aged.aged[2].everything.relative:+.1%}" in ageing.words[0]
    assert "2 weeks without retraining" in ageing.words[0]


def test_data_without_times_or_without_busy_weeks_is_refused() -> None:
    whole = dataset(fresh=False)
    timeless = replace(whole, events=replace(whole.events, timestamps=np.full(len(whole.events), np.nan)))
    with pytest.raises(DataInvalid, match="not every event has a time"):
        measure_ageing(timeless, config(), QUIET)
    with pytest.raises(DataInvalid, match="has 500 users to test on"):
        measure_ageing(whole, config(least_users=500), QUIET)


def test_one_week_of_ageing_is_the_rolling_evaluation_alone() -> None:
    found = measure_ageing(dataset(fresh=False), config(cuts=1, weeks=1), QUIET)
    assert len(found.cuts) == 1
    assert found.aged == {}
