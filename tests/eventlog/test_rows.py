"""Events as rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest

from recsvc.eventlog.event import MERGE, Arm, LogEvent, decode, encode
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.rows import SCHEMA, conformed, row_problem, table_of, without_erased
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of


def test_row_has_every_field_of_its_event() -> None:
    event = LogEvent(
        "e1", "not_interested", "ü1", 1_700_000_000.123456, "v1", 0.5, "creator", "c1", "s1", "r1.x", "valid", "home",
        "20261122T050100Z-3f9ac2", 1_700_000_100.0, 3, "als", (Arm("x", 2, "b", False, True),), "a", 0.25,
    )  # fmt: skip

    (row,) = table_of(7, [event], [StreamId(1_700_000_001_500, 3)]).to_pylist()

    assert row == {
        "stream_ms": 1_700_000_001_500,
        "stream_seq": 3,
        "partition": 7,
        "event_id": "e1",
        "type": "not_interested",
        "user_id": "ü1",
        "item_id": "v1",
        "timestamp": datetime(2023, 11, 14, 22, 13, 20, 123456, UTC),
        "received_at": datetime(2023, 11, 14, 22, 13, 21, 500_000, UTC),
        "value": 0.5,
        "target_type": "creator",
        "target_id": "c1",
        "session_id": "s1",
        "recommendation_id": "r1.x",
        "attribution": "valid",
        "placement": "home",
        "model_version": "20261122T050100Z-3f9ac2",
        "sent_timestamp": datetime(2023, 11, 14, 22, 15, tzinfo=UTC),
        "experiments": [{"experiment": "x", "phase": 2, "variant": "b", "forced": False, "fallback": True}],
        "position": 3,
        "source": "als",
        "team": "a",
        "propensity": 0.25,
    }


def test_what_an_event_lacks_is_null() -> None:
    (row,) = table_of(7, [LogEvent("e1", "view", "u1", 0)], [StreamId(1, 0)]).to_pylist()

    required = {field.name for field in SCHEMA if not field.nullable}
    assert {name for name, value in row.items() if value is None} == set(SCHEMA.names) - required


def test_rows_of_earlier_releases_get_the_columns_that_came_since() -> None:
    table = table_of(7, [LogEvent("e1", "view", "u1", 0, experiments=(Arm("x", 1, "a"),))], [StreamId(1, 0)])
    old = table.drop_columns(["experiments", "position", "source", "team", "propensity"])
    assert conformed(old).schema == SCHEMA
    assert conformed(old)["experiments"].to_pylist() == [None]
    assert conformed(table) == table
    with pytest.raises(KeyError):
        conformed(table.drop_columns(["item_id"]))


@pytest.mark.parametrize("arms", [[["x", 1, "a"]], [["x", "1", "a", 0]], {"x": 1}, 3, ["x"]])
def test_experiments_that_are_none_are_told(arms: object) -> None:
    whole = orjson.loads(encode(LogEvent("e1", "view", "u1", 0)))
    with pytest.raises(ValueError, match="experiment"):
        decode(orjson.dumps(whole | {"e": arms}))


def test_no_events_make_a_table_without_rows() -> None:
    assert table_of(7, [], []).schema == SCHEMA


def test_whole_numbers_are_values_too() -> None:
    assert table_of(7, [LogEvent("e1", "view", "u1", 5, value=3)], [StreamId(1, 0)])["value"].to_pylist() == [3.0]


@pytest.mark.parametrize("seconds", [1e300, -2e11, float("nan")])
@pytest.mark.parametrize("field", ["timestamp", "sent_timestamp"])
def test_time_beyond_the_calendar_fits_no_row(field: str, seconds: float) -> None:
    fields = {"timestamp": 0.0} | {field: seconds}

    assert field in (row_problem(LogEvent("e1", "view", "u1", **fields)) or "")


def test_value_that_is_no_finite_number_fits_no_row() -> None:
    assert "value" in (row_problem(LogEvent("e1", "view", "u1", 0.0, value=float("inf"))) or "")


@pytest.mark.parametrize(
    "fields", [{"position": 40_000}, {"position": -1}, {"propensity": 1.5}, {"experiments": (Arm("x", 40_000, "a"),)}]
)
def test_numbers_that_fit_no_column_are_told(fields: dict[str, Any]) -> None:
    assert row_problem(LogEvent("e1", "view", "u1", 0.0, position=32_767, propensity=1.0)) is None
    assert row_problem(LogEvent("e1", "view", "u1", 0.0, **fields)) is not None


def _remaining(events: list[tuple[LogEvent, StreamId]], *tombstones: Tombstone) -> list[str]:
    table = table_of(7, [event for event, _ in events], [at for _, at in events])
    kept: pa.Table = without_erased(table, Tombstones(tombstones))
    names: list[str] = kept["event_id"].to_pylist()
    return names


def test_rows_of_erased_user_go_up_to_the_erasure_and_later_ones_stay() -> None:
    events = [
        (LogEvent(f"e{milliseconds}-{sequence}", "view", user, 0), StreamId(milliseconds, sequence))
        for milliseconds, sequence, user in [(5, 0, "u1"), (5, 0, "u2"), (6, 1, "u1"), (6, 2, "u1"), (7, 0, "u1")]
    ]

    kept = _remaining(events, Tombstone(digest_of("u1"), StreamId(6, 1), 0.0))

    assert kept == ["e5-0", "e6-2", "e7-0"]


def test_merge_into_an_erased_account_is_forgotten_and_one_into_its_successor_is_not() -> None:
    def merge(name: str, into: str, milliseconds: int) -> tuple[LogEvent, StreamId]:
        return LogEvent(name, MERGE, "anon", 0, target_id=into), StreamId(milliseconds, 9)

    events = [merge("before", "u1", 5), merge("after", "u1", 8), merge("other", "u2", 5)]
    events.append((LogEvent("untargeted", "view", "anon", 0), StreamId(9, 0)))

    assert _remaining(events, Tombstone(digest_of("u1"), StreamId(6, 1), 0.0)) == ["after", "other", "untargeted"]
