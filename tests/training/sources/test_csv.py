"""Events from CSV."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from recsvc.events.schema import TYPE_CODES
from tests.training.sources.reading import read, reject_rows, triples
from training.errors import DataInvalid, DataMissing

GOOD = "user_id,item_id,type,timestamp,value\nu2,v1,like,1767225600,\nu1,v2,view,1767225601.5,0.25\n"


def test_columns_come_back_with_sorted_ids_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(GOOD)
    dataset = read(path, tmp_path)
    assert triples(dataset) == [("u2", "v1", TYPE_CODES["like"]), ("u1", "v2", TYPE_CODES["view"])]
    assert dataset.events.user_ids == ["u1", "u2"]
    assert dataset.events.timestamps.tolist() == [1767225600.0, 1767225601.5]
    assert np.isnan(dataset.events.values[0])
    assert dataset.events.values[1] == np.float32(0.25)
    assert dataset.rejects.total == 0
    assert not (tmp_path / "rejects.csv").exists()


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_gzip_windows_line_ends_byte_order_mark_and_blank_lines_change_nothing(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "events.csv.gz"
    text = GOOD.replace(",", delimiter).replace("\n", "\r\n").replace("u1", "\r\nu1", 1)
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert triples(read(path, tmp_path, share=0.0)) == [
        ("u2", "v1", TYPE_CODES["like"]),
        ("u1", "v2", TYPE_CODES["view"]),
    ]


def test_every_row_is_a_view_where_there_is_no_type(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("uid,iid\n7,a\n7,b\n")
    dataset = read(path, tmp_path, columns={"user_id": "uid", "item_id": "iid"})
    assert set(dataset.events.types.tolist()) == {TYPE_CODES["view"]}
    assert dataset.events.user_ids == ["7"]
    assert not dataset.events.has_time
    assert np.isnan(dataset.events.values).all()


def test_ids_are_sorted_by_their_utf8_bytes(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    ids = ["z", "é", "10", "9", "a", "A", "\U0001f600", "￿"]
    path.write_text("user_id,item_id\n" + "".join(f"{name},v\n" for name in ids), encoding="utf-8")
    assert read(path, tmp_path).events.user_ids == sorted(ids, key=lambda name: name.encode())


def test_quoted_values_may_contain_the_delimiter_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text('user_id,note,item_id\n"u,1",plain,v1\nu2,"two\nlines",v2\nu3,"a ""word""",v3\nu4,x\n')
    dataset = read(path, tmp_path)
    assert [(user, item) for user, item, _ in triples(dataset)] == [("u,1", "v1"), ("u2", "v2"), ("u3", "v3")]
    assert reject_rows(tmp_path) == [["6", "malformed line: not 3 columns", "u4,x"]]


@pytest.mark.parametrize("stray", ['u2,"v2,view', 'u2,v"2,"view'])
def test_a_stray_quote_costs_its_own_line_alone(tmp_path: Path, stray: str) -> None:
    path = tmp_path / "events.csv"
    rows = [f"u{n},v{n},view" for n in range(300)]
    path.write_text("\n".join(["user_id,item_id,type", *rows, stray, *rows]) + "\n")
    dataset = read(path, tmp_path, share=0.01)
    assert len(dataset.events) == 600
    assert [row[0] for row in reject_rows(tmp_path)] == ["302"]


def test_a_line_with_another_number_of_values_is_rejected_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\nu1,v1\n\nu2\nu3,v3\nu4,v4,extra\nu5,v5\n")
    dataset = read(path, tmp_path)
    assert [user for user, _, _ in triples(dataset)] == ["u1", "u3", "u5"]
    assert reject_rows(tmp_path) == [
        ["4", "malformed line: not 2 columns", "u2"],
        ["6", "malformed line: not 2 columns", "u4,v4,extra"],
    ]
    assert dataset.rejects.by_reason == {"malformed line: not 2 columns": 2}


def test_a_missing_column_lists_those_there_are_and_how_to_map_them(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("uid,iid\nu1,v1\n")
    with pytest.raises(DataInvalid, match=r"events\.csv.*'user_id'.*uid, iid.*COLUMNS=\"user_id=uid,item_id=iid\""):
        read(path, tmp_path)
    with pytest.raises(DataInvalid, match="no column 'when' for timestamp"):
        read(path, tmp_path, columns={"user_id": "uid", "item_id": "iid", "timestamp": "when"})


def test_a_mapping_of_a_field_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(GOOD)
    with pytest.raises(DataInvalid, match=r"'usr'.*user_id, item_id, type, timestamp, value, event_id"):
        read(path, tmp_path, columns={"usr": "user_id"})


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,user_id\nu1,v1,u2\n")
    with pytest.raises(DataInvalid, match="'user_id' is there twice"):
        read(path, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"user_id,item_id\n", "no rows"),
        (b"\nuser_id,item_id\nu1,v1\n", "no column 'user_id'"),
        (b"user_id,item_id\ru1,v1\ru2,v2\r", "line 1.*carriage return"),
        (b'"user_id,item_id\nu1,v1\n', "line 1: the header is not CSV"),
        (GOOD.encode("utf-16"), "UTF-16.*iconv"),
        (b"user_id,item_id\nu1,v1\nu2,caf\xe9\n", r"line 3: byte 0xe9 is not UTF-8.*iconv"),
    ],
)
def test_an_unusable_file_is_named_with_the_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match=rf"events\.csv.*{message}"):
        read(path, tmp_path)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(GOOD.encode() * 50)[:-12])
    with pytest.raises(DataInvalid, match=r"events\.csv\.gz.*truncated or damaged.*again"):
        read(path, tmp_path)
    path.write_bytes(GOOD.encode())
    with pytest.raises(DataInvalid, match=r"events\.csv\.gz.*truncated or damaged"):
        read(path, tmp_path)


def test_a_path_that_is_not_there_names_the_known_data_sets(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"desk-drop.*deskdrop, movielens-100k"):
        read("desk-drop", tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(DataInvalid, match=r"events\.xlsx.*\.csv.*\.parquet"):
        read(path, tmp_path)


@pytest.mark.parametrize("rows", ["u1,v1\nu1,v2\n", "u1,v1\nu2,v1\n", "u1,v1\n"])
def test_one_user_or_one_item_is_no_reason_to_refuse(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\n" + rows)
    assert len(read(path, tmp_path).events) == rows.count("\n")
