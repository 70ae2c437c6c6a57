"""String and id tables, searched in place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.bundle.types import IdTable, StringTable

ids = st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable())


@given(st.lists(ids))
def test_every_id_is_found_at_the_row_that_holds_it(values: list[str]) -> None:
    table = IdTable.of(values)
    assert len(table) == len(set(values))
    for value in values:
        row = table.row_of(value)
        assert row is not None
        assert table[row] == value


@given(st.lists(ids), ids)
def test_an_id_that_is_not_there_is_none(values: list[str], other: str) -> None:
    table = IdTable.of(values)
    assert (table.row_of(other) is None) == (other not in values)


def test_a_lone_surrogate_is_unknown_not_an_error() -> None:
    assert IdTable.of(["a"]).row_of("\ud800") is None


def test_strings_keep_their_order_and_a_negative_row_is_no_row() -> None:
    table = StringTable.of(["b", "", "ä"])
    assert list(table) == ["b", "", "ä"]
    with pytest.raises(IndexError):
        table[-1]


def test_bytes_of_many_rows_are_those_of_each() -> None:
    table = StringTable.of(["b", "", "ä"])
    rows = [2, 0, 1, 2]
    assert table.all_bytes(rows) == [table.bytes_at(row) for row in rows] == ["ä".encode(), b"b", b"", "ä".encode()]


def test_rows_of_leaves_out_the_unknown() -> None:
    assert IdTable.of(["a", "c"]).rows_of(["c", "b", "a"]).tolist() == [1, 0]
