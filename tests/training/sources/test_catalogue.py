"""The optional item catalogue."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc.bundle.types import NO_TIME
from tests.training.sources.reading import read
from training.errors import DataInvalid, DataMissing

NEW_YEAR = 1767225600
ROWS = [
    {
        "item_id": "v2",
        "title": "Bread, slowly",
        "creator": "ana",
        "categories": ["baking", "slow food"],
        "published_at": "2026-01-01T00:00:00Z",
    },
    {"item_id": "v9", "title": "Only here", "creator": None, "categories": None, "published_at": None},
]


def events(folder: Path) -> Path:
    path = folder / "events.csv"
    path.write_text("user_id,item_id\nu1,v2\nu1,v1\n")
    return path


def write_rows(folder: Path, kind: str) -> Path:
    path = folder / f"items.{kind}"
    if kind == "csv":
        path.write_text(
            "published_at,item_id,title,creator,categories,more\n"
            '2026-01-01,v2,"Bread, slowly",ana,baking|slow food,x\n\n'
            ",v9,Only here,,,\n"
        )
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    else:
        times = [datetime(2026, 1, 1, tzinfo=UTC), None]
        table = pa.Table.from_pylist(ROWS).drop(["published_at"]).append_column("published_at", pa.array(times))
        pq.write_table(table, path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_items_are_described_and_those_without_events_are_there_too(tmp_path: Path, kind: str) -> None:
    dataset = read(events(tmp_path), tmp_path, catalogue=write_rows(tmp_path, kind))
    assert dataset.events.item_ids == ["v1", "v2", "v9"]
    assert dataset.events.items.tolist() == [1, 0]
    assert dataset.items.titles == ["", "Bread, slowly", "Only here"]
    assert dataset.items.creators == ["", "ana", ""]
    assert dataset.items.categories == [[], ["baking", "slow food"], []]
    assert dataset.items.published_at.tolist() == [NO_TIME, NEW_YEAR, NO_TIME]


def test_a_repeated_item_names_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\nv1,"two\nlines"\nv2,b\nv1,c\n')
    with pytest.raises(DataInvalid, match=r"items\.csv, lines 2 and 5: the item 'v1' is there twice"):
        read(events(tmp_path), tmp_path, catalogue=path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("items.csv", "id,title\nv1,a\n", r"no column 'item_id'.*id, title"),
        ("items.csv", "item_id,title\nv1,a,b\n", "line 2: 3 values for 2 columns"),
        ("items.csv", "item_id,title\n,a\n", "line 2: item_id is empty"),
        ("items.csv", "item_id,published_at\nv1,soon\n", "line 2: published_at 'soon'"),
        ("items.csv", "item_id,published_at\nv1,1767225600000\n", "milliseconds"),
        ("items.csv", "item_id,published_at\nv1,2026-01-01T00:00:00\n", "RFC 3339 with its offset"),
        ("items.csv", "item_id\n", "no items"),
        ("items.csv", 'item_id,title\nv1,"a\n', "not CSV"),
        ("items.csv", "", "empty"),
        ("items.jsonl", '{"item_id": "v1"\n', "line 1: not JSON"),
        ("items.jsonl", '["v1"]\n', "line 1: not a JSON object"),
        ("items.jsonl", '{"id": "v1"}\n', "no column 'item_id'"),
        ("items.jsonl", '{"item_id": 1.5}\n', "line 1: item_id 1.5"),
        ("items.jsonl", '{"item_id": "v1", "categories": 3}\n', "line 1: categories 3"),
        ("items.jsonl", '{"item_id": "v1", "published_at": true}\n', "line 1: published_at True"),
        ("items.parquet", "PAR1", "truncated"),
        ("items.xlsx", "x", "a catalogue is"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataInvalid, match=message) as refused:
        read(events(tmp_path), tmp_path, catalogue=path)
    assert name in str(refused.value)


def test_a_catalogue_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"nowhere\.csv.*CATALOGUE"):
        read(events(tmp_path), tmp_path, catalogue=tmp_path / "nowhere.csv")


def test_json_lines_may_have_attributes_and_other_kinds_leave_them_alone(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "v2", "attributes": {"language": "pt", "minutes": 7, "live": true, "none": null}}\n')
    dataset = read(events(tmp_path), tmp_path, catalogue=path)
    assert dataset.items.attributes == [{}, {"language": "pt", "minutes": 7, "live": True}]
    table = tmp_path / "items.csv"
    table.write_text("item_id,attributes\nv2,anything\n")
    assert read(events(tmp_path), tmp_path, catalogue=table).items.attributes == [{}, {}]
