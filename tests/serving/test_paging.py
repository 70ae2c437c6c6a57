"""Cutting pages: the long list ends where it says it does."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.types import IdTable
from recsvc.serving.candidates import NO_REASON, CandidateList, Source, plain
from recsvc.serving.cursor import LONGEST_LIST, Cursor
from recsvc.serving.paging import DEPTHS, cut, depths

ITEMS = IdTable.of(f"v{number:05}" for number in range(3_000))


def candidates(count: int) -> CandidateList:
    rows = np.arange(count, dtype=np.int32)
    return plain(rows, np.ones(count, dtype=np.float32), Source.POPULAR, np.full(count, NO_REASON, dtype=np.int32))


def shown(count: int) -> Cursor:
    return Cursor().followed_by(ITEMS.bytes_at(row) for row in range(count))


@pytest.mark.parametrize(
    ("needed", "tried"), [(20, DEPTHS), (100, DEPTHS), (101, DEPTHS[1:]), (1_001, DEPTHS[2:]), (2_090, DEPTHS[2:])]
)
def test_depths_grow_only_as_far_as_needed(needed: int, tried: tuple[int, ...]) -> None:
    assert tuple(depths(needed)) == tried


def test_hidden_and_shown_items_are_passed_over() -> None:
    page = cut(candidates(50), ITEMS, hidden={3, 5}, cursor=shown(2), limit=4, deepest=False)
    assert page.positions == [2, 4, 6, 7]
    assert page.more


def test_a_full_page_at_the_end_of_a_list_that_could_be_longer_has_a_next_one() -> None:
    assert cut(candidates(10), ITEMS, hidden=set(), cursor=Cursor(), limit=10, deepest=False).more
    assert not cut(candidates(10), ITEMS, hidden=set(), cursor=Cursor(), limit=10, deepest=True).more


def test_no_list_is_longer_than_the_longest_one() -> None:
    page = cut(candidates(3_000), ITEMS, hidden=set(), cursor=shown(LONGEST_LIST - 5), limit=20, deepest=False)
    assert len(page.positions) == 5
    assert not page.more
