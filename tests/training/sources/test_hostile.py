"""Input that was made to break a reader is refused with its line, not with a traceback."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training.sources.reading import read, reject_rows
from training.errors import DataInvalid

GOOD = '{"item_id": "v1"}'
LINES = {
    "deep nesting": '{"item_id": "v2", "title": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a number of 5,000 digits": '{"item_id": ' + "7" * 5_000 + "}",
    "a time of 5,000 digits": '{"item_id": "v2", "published_at": ' + "7" * 5_000 + "}",
    "half of a surrogate pair": '{"item_id": "v2", "title": "\\ud800"}',
    "not a number": '{"item_id": "v2", "published_at": NaN}',
    "attributes that are a list": '{"item_id": "v2", "attributes": ["pt"]}',
    "an attribute that is a list": '{"item_id": "v2", "attributes": {"language": ["pt"]}}',
    "an attribute without a name": '{"item_id": "v2", "attributes": {"": "pt"}}',
}


def _events(folder: Path) -> Path:
    path = folder / "events.csv"
    path.write_text("user_id,item_id\nu1,v2\nu1,v1\n")
    return path


@pytest.mark.parametrize("what", LINES)
def test_a_hostile_line_of_a_catalogue_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{GOOD}\n{LINES[what]}\n")
    with pytest.raises(DataInvalid, match=r"items\.jsonl, line 2: "):
        read(_events(tmp_path), tmp_path, catalogue=path)


TIMES = {
    "seconds": pa.array([1_767_225_600, 2**52], pa.timestamp("s")),
    "milliseconds": pa.array([1_767_225_600_000, -(2**62)], pa.timestamp("ms", tz="UTC")),
    "microseconds": pa.array([1_767_225_600_000_000, 2**62], pa.timestamp("us", tz="UTC")),
    "nanoseconds": pa.array([1_767_225_600_000_000_000, -(2**62)], pa.timestamp("ns")),
    "days": pa.array([20_454, 2**31 - 1], pa.date32()),
    "days in milliseconds": pa.array([1_767_225_600_000, 2**62], pa.date64()),
}


@pytest.mark.parametrize("unit", TIMES)
def test_a_parquet_time_that_no_calendar_has_costs_its_row_alone(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"user_id": ["u1", "u2"], "item_id": ["v1", "v2"], "timestamp": TIMES[unit]}), path)
    dataset = read(path, tmp_path)
    assert dataset.events.timestamps.tolist() == [1_767_225_600]
    ((line, reason, _),) = reject_rows(tmp_path)
    assert (line, reason) == ("2", "timestamp is out of range")


@pytest.mark.parametrize("unit", TIMES)
def test_a_parquet_catalogue_with_such_a_time_is_refused_by_its_row(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["v1", "v2"], "published_at": TIMES[unit]}), path)
    with pytest.raises(DataInvalid, match=r"items\.parquet, row 2: published_at .* is not a time"):
        read(_events(tmp_path), tmp_path, catalogue=path)
