"""Events from Parquet files and folders of parts."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc.events.schema import TYPE_CODES
from tests.training.sources.reading import read, reject_rows, triples
from training.errors import DataInvalid, DataMissing


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([10, 9, 10], pa.int32()),
        pa.array([10, 9, 10], pa.uint64()),
        pa.array([10.0, 9.0, 10.0]),
        pa.array(["10", "9", "10"]),
        pa.array(["10", "9", "10"], pa.large_string()),
        pa.array([b"10", b"9", b"10"]),
        pa.array(["10", "9", "10"]).dictionary_encode(),
    ],
)
def test_ids_of_any_type_become_their_decimal_text(tmp_path: Path, ids: Any) -> None:
    path = write(tmp_path / "events.parquet", user_id=ids, item_id=ids)
    dataset = read(path, tmp_path)
    assert dataset.events.user_ids == ["10", "9"]
    assert [user for user, _, _ in triples(dataset)] == ["10", "9", "10"]


def test_large_numeric_ids_keep_every_digit(tmp_path: Path) -> None:
    ids = pa.array([-8845298781299428018, 2**63 - 1])
    unsigned = pa.array([2**64 - 1, 2**63], pa.uint64())
    dataset = read(write(tmp_path / "events.parquet", user_id=ids, item_id=unsigned), tmp_path)
    assert dataset.events.user_ids == ["-8845298781299428018", "9223372036854775807"]
    assert dataset.events.item_ids == ["18446744073709551615", "9223372036854775808"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)]), 1767225600.25),
        (pa.array([datetime(2026, 1, 1)], pa.timestamp("ns")), 1767225600.0),
        (pa.array([1767222000], pa.timestamp("s", tz="America/New_York")), 1767222000.0),
        (pa.array([date(2026, 1, 1)]), 1767225600.0),
        (pa.array([1767225600]), 1767225600.0),
        (pa.array([1767225600.5]), 1767225600.5),
        (pa.array(["2026-01-01T00:00:00Z"]), 1767225600.0),
    ],
)
def test_times_of_any_type_become_unix_seconds(tmp_path: Path, times: Any, expected: float) -> None:
    path = write(tmp_path / "events.parquet", user_id=["u"], item_id=["v"], timestamp=times)
    assert read(path, tmp_path).events.timestamps.tolist() == [expected]


def test_a_column_of_an_impossible_type_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=[[1]], item_id=["v"])
    with pytest.raises(DataInvalid, match=r"events\.parquet.*'user_id' has type list.*cannot be user_id"):
        read(path, tmp_path)


def test_bad_rows_are_named_by_row_with_their_values(tmp_path: Path) -> None:
    values = pa.array([0.5, float("nan"), float("inf"), None, 1e300, 1.0])
    ids = pa.array(["a", None, "c", "d", "e", ""])
    path = write(tmp_path / "events.parquet", user_id=ids, item_id=ids.fill_null("b"), value=values)
    dataset = read(path, tmp_path, share=0.9)
    assert dataset.events.user_ids == ["a", "d"]
    assert np.isnan(dataset.events.values[1])
    assert reject_rows(tmp_path) == [
        ["2", "user_id is missing", "item_id=b, value=nan"],
        ["3", "value is NaN or infinite", "user_id=c, item_id=c, value=inf"],
        ["5", "value is NaN or infinite", "user_id=e, item_id=e, value=1e+300"],
        ["6", "user_id is empty", "user_id=, item_id=, value=1.0"],
    ]


def test_a_number_that_is_no_whole_number_is_no_id(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=pa.array([1.0, 1.5, float("nan"), 2.0]), item_id=[1, 2, 3, 4])
    assert read(path, tmp_path).events.user_ids == ["1", "2"]
    assert [row[:2] for row in reject_rows(tmp_path)] == [["2", "user_id is missing"], ["3", "user_id is missing"]]


def test_bytes_that_are_not_utf8_are_no_id(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=pa.array([b"ok", b"\xff\xfe", b"fine"]), item_id=["v"] * 3)
    assert read(path, tmp_path).events.user_ids == ["fine", "ok"]
    assert reject_rows(tmp_path)[0][1] == "user_id is not valid Unicode (a lone surrogate)"


@pytest.mark.parametrize("field", ["user_id", "type", "timestamp", "value", "event_id"])
def test_text_that_is_not_utf8_is_no_traceback(tmp_path: Path, field: str) -> None:
    good = b"view" if field == "type" else b"1767225600"
    text = pa.Array.from_buffers(pa.string(), 2, pa.array([good, b"\xff\xfe"]).buffers())
    columns = {"user_id": ["u", "w"], "item_id": ["v", "v"], field: text}
    dataset = read(write(tmp_path / "events.parquet", **columns), tmp_path)
    if field == "event_id":
        # Event ids are only ever compared, so their encoding does not matter.
        assert len(dataset.events) == 2
    else:
        assert len(dataset.events) == 1
        assert "\\xff\\xfe" in reject_rows(tmp_path)[0][2]


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -200])
def test_a_truncated_file_is_named_never_a_traceback(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "events.parquet", user_id=list(range(1000)), item_id=list(range(1000)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataInvalid, match=r"events\.parquet.*(truncated|empty).*again"):
        read(path, tmp_path)


def test_damaged_pages_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=[f"u{n}" for n in range(5000)], item_id=list(range(5000)))
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match=r"events\.parquet.*again"):
        read(path, tmp_path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=pa.array([], pa.string()), item_id=pa.array([], pa.string()))
    with pytest.raises(DataInvalid, match="no events"):
        read(path, tmp_path)


def test_a_folder_is_its_parts_in_the_order_of_their_paths(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    write(folder / "2026-01-02" / "p1.parquet", user_id=["u3"], item_id=["v"], type=["like"], timestamp=[1767312000])
    write(folder / "2026-01-01" / "p1.parquet", user_id=[7], item_id=["w"])
    write(folder / "2026-01-01" / "p0.parquet", user_id=pa.array([], pa.string()), item_id=pa.array([], pa.string()))
    (folder / "2026-01-03.csv").write_text(
        "user_id,item_id,type,timestamp\nu9,w,skip,1767398400\nu9,w,oops,1767398400\n"
    )
    (folder / "_aside.parquet").write_bytes(b"half written")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "p.parquet").write_bytes(b"half written")
    (folder / "README.md").write_text("no events here")
    dataset = read(folder, tmp_path, share=0.9)
    assert triples(dataset) == [("u3", "v", TYPE_CODES["like"]), ("u9", "w", TYPE_CODES["skip"])]
    # One part has no timestamps at all: its row is the bad one.
    assert [row[:2] for row in reject_rows(tmp_path)] == [
        ["p1.parquet:1", "timestamp is missing"],
        ["2026-01-03.csv:3", "type is unknown"],
    ]


def test_a_folder_without_event_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"holds no \.parquet"):
        read(tmp_path, tmp_path)


def test_a_gzipped_parquet_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "events.parquet", user_id=["u"], item_id=["v"])
    packed = tmp_path / "packed.parquet.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert triples(read(packed, tmp_path))[0][:2] == ("u", "v")


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", user_id=["u"], item_id=["v"])
    second = write(tmp_path / "elsewhere" / "b.parquet", user_id=["u"], item_id=["v"])
    third = write(tmp_path / "c.parquet", user_id=["u"], item_id=["w"])
    prints = [read(path, tmp_path).fingerprint for path in (first, second, third)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 64
