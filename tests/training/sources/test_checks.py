"""What makes a row bad, and when bad rows stop a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.sources.reading import read, reject_rows
from training.errors import DataInvalid


def write(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_the_first_fault_of_each_row_is_counted_and_written(tmp_path: Path) -> None:
    good = ["u,v,view,1767225600,1"] * 12
    bad = {
        ",v,view,1767225600,": "user_id is missing",
        f"{'x' * 129},v,view,1767225600,": "user_id is longer than 128 characters",
        f"{'y' * 300},v,view,1767225600,": "user_id is longer than 128 characters",
        "a\x07b,v,oops,1767225600,": "user_id contains a control character",
        "u,,view,1767225600,": "item_id is missing",
        "u,v,viewed,1767225600,": "type is unknown",
        "u,v,,1767225600,": "type is missing",
        "u,v,view,1767225600,much": "value is not a number",
        "u,v,view,1767225600,nan": "value is NaN or infinite",
        "u,v,view,1767225600,-inf": "value is NaN or infinite",
    }
    path = write(tmp_path, "user_id,item_id,type,timestamp,value", [*good, *bad])
    dataset = read(path, tmp_path)
    assert len(dataset.events) == 12
    rows = reject_rows(tmp_path)
    assert [(reason, raw) for _, reason, raw in rows] == [(reason, raw[:200]) for raw, reason in bad.items()]
    assert [line for line, _, _ in rows] == [str(14 + n) for n in range(len(bad))]
    assert dataset.rejects.total == len(bad)
    assert dataset.rejects.by_reason["user_id is longer than 128 characters"] == 2
    assert dataset.rejects.path == str(tmp_path / "rejects.csv")


@pytest.mark.parametrize(
    ("majority", "stray", "reason"),
    [
        ("1767225600", "1767225600000", "timestamp is in milliseconds or finer"),
        ("1767225600", "2026-01-01T00:00:00Z", "timestamp is RFC 3339 where most are numbers"),
        ("2026-01-01T00:00:00Z", "1767225600", "timestamp is a number where most are RFC 3339"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "timestamp has no UTC offset"),
        ("2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "timestamp is neither Unix seconds nor RFC 3339"),
        ("2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "timestamp is out of range"),
        ("1767225600", "-5", "timestamp is out of range"),
        ("1767225600", "99999999999", "timestamp is out of range"),
        ("1767225600", "inf", "timestamp is neither Unix seconds nor RFC 3339"),
        ("1767225600", "yesterday", "timestamp is neither Unix seconds nor RFC 3339"),
        ("1767225600", "01/02/2026", "timestamp is neither Unix seconds nor RFC 3339"),
        ("1767225600", "", "timestamp is missing"),
    ],
)
def test_timestamps_that_cannot_be_used_are_rejected(tmp_path: Path, majority: str, stray: str, reason: str) -> None:
    path = write(tmp_path, "user_id,item_id,timestamp", [f"u,v,{t}" for t in (majority, stray, majority)])
    dataset = read(path, tmp_path)
    assert dataset.events.timestamps.tolist() == [1767225600.0] * 2
    assert reject_rows(tmp_path) == [["3", reason, f"u,v,{stray}"]]


def test_an_even_mix_of_formats_goes_by_the_first_row(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id,item_id,timestamp", ["u,v,2026-01-01T00:00:00Z", "u,v,1767225600"])
    assert len(read(path, tmp_path).events) == 1
    assert reject_rows(tmp_path)[0][:2] == ["3", "timestamp is a number where most are RFC 3339"]


def test_a_column_of_milliseconds_stops_the_run_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id,item_id,timestamp", ["u,v,1767225600000"] * 3)
    with pytest.raises(DataInvalid, match=r"3 of 3 rows \(100\.00%\).*line 2.*milliseconds.*divide.*1,000"):
        read(path, tmp_path)


def test_the_lower_case_and_spaced_forms_of_rfc_3339_are_read(tmp_path: Path) -> None:
    times = ["2026-01-01t00:00:00z", "2026-01-01 00:00:00+00:00", "2025-12-31T19:00:00.000-05:00"]
    path = write(tmp_path, "user_id,item_id,timestamp", [f"u,v,{t}" for t in times])
    assert read(path, tmp_path, share=0.0).events.timestamps.tolist() == [1767225600.0] * 3


def test_a_repeated_event_id_is_dropped_after_its_first_good_row_and_stops_nothing(tmp_path: Path) -> None:
    rows = [
        "e1,u1,v1,view",
        "e2,u2,v1,oops",
        "e2,u3,v1,view",
        "e1,u4,v1,view",
        "e1,u5,v1,view",
        ",u6,v1,view",
        ",u7,v1,view",
    ]
    path = write(tmp_path, "event_id,user_id,item_id,type", rows)
    dataset = read(path, tmp_path, share=0.2)
    assert dataset.events.user_ids == ["u1", "u3", "u6", "u7"]
    assert dataset.rejects.by_reason == {"duplicate event_id": 2, "type is unknown": 1}
    assert [row[0] for row in reject_rows(tmp_path)] == ["3", "5", "6"]


def test_more_bad_rows_than_allowed_stop_the_run_and_leave_the_list(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id,item_id,type", ["u,v,view"] * 98 + ["u,v,seen", "u"])
    assert len(read(path, tmp_path, share=0.02).events) == 98
    with pytest.raises(DataInvalid) as stopped:
        read(path, tmp_path, share=0.019)
    message = str(stopped.value)
    for part in (
        str(path),
        "2 of 100 rows (2.00%)",
        "1.90% allowed",
        "line 100",
        "type is unknown",
        "the types are",
        "u,v,seen",
    ):
        assert part in message
    assert str(tmp_path / "rejects.csv") in message
    assert len(reject_rows(tmp_path)) == 2


def test_no_row_left_stops_the_run_whatever_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id,item_id", ["u,", ",v"])
    with pytest.raises(DataInvalid, match=r"no event is left.*item_id is missing"):
        read(path, tmp_path, share=1.0)


def test_a_clean_run_removes_the_rejects_of_an_earlier_one(tmp_path: Path) -> None:
    read(write(tmp_path, "user_id,item_id", ["u,v", "u,"]), tmp_path)
    assert (tmp_path / "rejects.csv").exists()
    assert read(write(tmp_path, "user_id,item_id", ["u,v"]), tmp_path).rejects.path is None
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


def test_an_optional_column_with_nothing_in_it_is_as_good_as_absent(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, "user_id,item_id,type,timestamp", ["u,v,,", "u,w,,"]), tmp_path, share=0.0)
    assert len(dataset.events) == 2
    assert not dataset.events.has_time
