"""Erased users leave every source before anything is made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones
from tests.training.events import DAY, START, Row, make_dataset
from tests.training.sources.reading import reject_rows
from training.sources.dataset import Candidates
from training.sources.erasure import without_erased
from training.sources.load import load

ROWS: list[Row] = [
    ("u1", "v1", "like", 0, None),
    ("u1", "v2", "like", 5, None),
    ("u2", "v2", "view", 1, 0.5),
    ("u2", "v3", "like", 2, None),
]


def erased(user: str, day: float) -> Tombstones:
    return Tombstones([Tombstone(digest_of(user), BEGINNING, START + day * DAY)])


def test_nobody_erased_changes_nothing_but_the_record_of_it() -> None:
    dataset = make_dataset(ROWS)
    kept = without_erased(dataset, Tombstones())
    assert kept.events is dataset.events
    assert kept.erased == 0
    assert kept.erasures_applied_at is not None


def test_events_up_to_the_erasure_go_and_the_id_may_come_back() -> None:
    kept = without_erased(make_dataset(ROWS), erased("u1", 3))
    assert kept.events.user_ids == ["u1", "u2"]
    assert kept.events.item_ids == ["v2", "v3"], "nothing else is known of v1"
    assert kept.events.users.tolist() == [0, 1, 1]
    assert kept.events.items.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(kept.events.values, np.array([np.nan, 0.5, np.nan], np.float32))
    assert kept.erased == 1


def test_without_times_all_of_them_go() -> None:
    rows: list[Row] = [(user, item, kind, None, value) for user, item, kind, _, value in ROWS]
    kept = without_erased(make_dataset(rows), erased("u1", -1000))
    assert kept.events.user_ids == ["u2"]
    assert kept.erased == 2


def test_an_item_of_the_catalogue_stays() -> None:
    dataset = make_dataset(ROWS)
    dataset = replace(dataset, items=replace(dataset.items, titles=["Bread", "", ""]))
    assert without_erased(dataset, erased("u1", 9)).items.titles == ["Bread", "", ""]


def test_a_published_test_part_and_its_candidates_follow() -> None:
    dataset = make_dataset(ROWS, given_test=[False, True, False, True])
    candidates = Candidates(np.array([0, 1], np.int32), np.array([[1, 2], [2, 1]], np.int32))
    kept = without_erased(replace(dataset, candidates=candidates), erased("u1", 9))
    assert kept.given_test is not None
    assert kept.given_test.tolist() == [False, True]
    assert kept.candidates is not None
    assert kept.candidates.users.tolist() == [0]
    assert kept.candidates.items.tolist() == [[1, 0]]


def test_the_rejects_file_does_not_keep_what_an_erased_users_rows_say(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    lines = ["u1,v1,like,1", "u2,v1,lkie,1", "u1,v1,lkie,1", ",v2 of u1,like,1", 'u1,"v1",like', "u2,v2,like,1"]
    path.write_text("\n".join(["user_id,item_id,type,timestamp", *lines]) + "\n")
    write_tombstones(tmp_path, erased("u1", 3))
    dataset = load(
        str(path),
        data_dir=tmp_path,
        columns={},
        catalogue=None,
        max_reject_share=0.9,
        rejects_path=tmp_path / "rejects.csv",
        state_dir=tmp_path,
    )
    assert dataset.rejects.total == 4, "they are counted all the same"
    rows = reject_rows(tmp_path)
    assert [line for line, _, _ in rows] == ["3", "4", "5", "6"]
    assert ["u1" in raw for _, _, raw in rows] == [False] * 4
    assert rows[0][2] == "u2,v1,lkie,1"


@pytest.mark.parametrize("user", ["u1", "u2"])
def test_nothing_of_the_user_is_left(user: str) -> None:
    assert user not in without_erased(make_dataset(ROWS), erased(user, 9)).events.user_ids
