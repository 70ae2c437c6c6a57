"""The bytes in the cache and the text of cursors: what goes in comes out, and nothing else does."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.bundle.types import Bundle, IdTable
from recsvc.serving import cached_list, cursor
from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source
from recsvc.serving.cursor import LONGEST_LIST, MAX_CURSOR_CHARACTERS, Cursor
from recsvc.serving.degraded import Degraded
from recsvc.serving.errors import ParameterInvalid
from tests.builders import make_bundle

N_ITEMS = 300
N_CATEGORIES = 4


class Catalogue:
    """Names of what a process knows beyond the bundle: rows from N_ITEMS on, codes from N_CATEGORIES on."""

    def __init__(self, items: Sequence[str] = (), categories: Sequence[str] = ()) -> None:
        self._items, self._categories = list(items), list(categories)

    def item_id(self, row: int) -> str:
        return self._items[row - N_ITEMS]

    def row_of(self, item_id: str) -> int | None:
        return N_ITEMS + self._items.index(item_id) if item_id in self._items else None

    def category_name(self, code: int) -> str:
        return self._categories[code - N_CATEGORIES]

    def category_code(self, name: str) -> int | None:
        return N_CATEGORIES + self._categories.index(name) if name in self._categories else None


NEW = [f"new-{number}-\u00e9" for number in range(5)]
HERE = Catalogue(NEW, ["gardens", "boats"])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("models"), n_items=N_ITEMS)


@st.composite
def lists(draw: st.DrawFn) -> CandidateList:
    count = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sources = rng.integers(0, len(Source), count).astype(np.uint8)
    by_model = np.isin(sources, [Source.ALS, Source.CONTENT, Source.NEIGHBOURS])
    of_items = rng.integers(0, N_ITEMS + len(NEW), (count, REASONS))
    of_items[rng.random(count) < 0.3, 1] = NO_REASON
    of_categories = np.full((count, REASONS), NO_REASON)
    of_categories[:, 0] = rng.integers(-1, N_CATEGORIES + 2, count)
    return CandidateList(
        rows=rng.choice(N_ITEMS + len(NEW), size=count, replace=False).astype(np.int32),
        scores=rng.standard_normal(count).astype(np.float32),
        sources=sources,
        reasons=np.where(by_model[:, None], of_items, of_categories).astype(np.int32),
        complete=draw(st.booleans()),
        degraded=tuple(sorted(draw(st.sets(st.sampled_from(Degraded))), key=list(Degraded).index)),
        computed_at=1_790_000_000.125,
        of_history=draw(st.booleans()),
    )


class TestCachedList:
    @given(lists())
    def test_decoding_gives_what_was_encoded(self, bundle: Bundle, candidates: CandidateList) -> None:
        found = cached_list.decode(cached_list.encode(candidates, bundle, HERE), bundle, HERE)
        assert found is not None
        for name in ("rows", "scores", "sources", "reasons"):
            np.testing.assert_array_equal(getattr(found, name), getattr(candidates, name))
            assert getattr(found, name).dtype == getattr(candidates, name).dtype
        assert (found.complete, found.degraded) == (candidates.complete, candidates.degraded)
        assert (found.computed_at, found.of_history) == (candidates.computed_at, candidates.of_history)

    @given(lists())
    def test_another_process_reads_new_items_under_its_own_rows(
        self, bundle: Bundle, candidates: CandidateList
    ) -> None:
        there = Catalogue(["elsewhere", *reversed(NEW)], ["boats", "gardens"])
        found = cached_list.decode(cached_list.encode(candidates, bundle, HERE), bundle, there)
        assert found is not None
        assert [named(there, row) for row in found.rows] == [named(HERE, row) for row in candidates.rows]

    @given(lists())
    def test_items_that_a_process_does_not_know_drop_out(self, bundle: Bundle, candidates: CandidateList) -> None:
        found = cached_list.decode(cached_list.encode(candidates, bundle, HERE), bundle, Catalogue())
        assert found is not None
        assert found.rows.tolist() == [row for row in candidates.rows if row < N_ITEMS]
        assert not ((found.reasons[:, 0] == NO_REASON) & (found.reasons[:, 1] != NO_REASON)).any()

    @given(lists(), st.data())
    def test_any_flipped_byte_and_any_cut_is_a_miss(
        self, bundle: Bundle, candidates: CandidateList, data: st.DataObject
    ) -> None:
        raw = bytearray(cached_list.encode(candidates, bundle, HERE))
        place = data.draw(st.integers(0, len(raw) - 1))
        assert cached_list.decode(bytes(raw[:place]), bundle, HERE) is None
        raw[place] ^= data.draw(st.integers(1, 255))
        assert cached_list.decode(bytes(raw), bundle, HERE) is None

    @given(st.binary(max_size=200))
    def test_any_other_bytes_are_a_miss(self, bundle: Bundle, raw: bytes) -> None:
        assert cached_list.decode(raw, bundle, HERE) is None
        body = cached_list._HEADER.pack(b"cl", 2, raw[0] if raw else 0, 0, len(raw), 1, 0, 0) + raw
        assert cached_list.decode(body + cached_list._CHECK.pack(zlib.crc32(body)), bundle, HERE) is None

    def test_items_that_the_model_lacks_are_a_miss(self, bundle: Bundle, tmp_path: Path) -> None:
        rows = np.arange(20, 40, dtype=np.int32)
        reasons = np.full((20, REASONS), 7, dtype=np.int32)
        sources = np.full(20, Source.ALS, dtype=np.uint8)
        raw = cached_list.encode(CandidateList(rows, np.ones(20, np.float32), sources, reasons, False), bundle, HERE)
        assert cached_list.decode(raw, make_bundle(tmp_path, n_items=30, n_users=3), HERE) is None

    @pytest.mark.parametrize(("first_row", "bytes_each"), [(0, 9), (65_500, 11)])
    def test_a_list_of_a_hundred_is_small(self, bundle: Bundle, first_row: int, bytes_each: int) -> None:
        large = replace(bundle, items=IdTable.of(f"v{number:06}" for number in range(66_000)))
        rows = np.arange(first_row, first_row + 100, dtype=np.int32)
        reasons = np.stack([rows % 30, (rows + 7) % 30], axis=1).astype(np.int32)
        candidates = CandidateList(rows, np.ones(100, np.float32), np.zeros(100, np.uint8), reasons, complete=False)
        raw = cached_list.encode(candidates, large, HERE)
        assert len(raw) <= 100 * bytes_each + 30 * 4 + 30
        assert cached_list.decode(raw, large, HERE) is not None

    def test_more_distinct_reasons_than_a_byte_counts(self, bundle: Bundle) -> None:
        rows = np.arange(290, dtype=np.int32)
        reasons = np.stack([rows, np.full(290, NO_REASON, np.int32)], axis=1)
        candidates = CandidateList(rows, np.ones(290, np.float32), np.zeros(290, np.uint8), reasons, complete=True)
        found = cached_list.decode(cached_list.encode(candidates, bundle, HERE), bundle, HERE)
        assert found is not None
        np.testing.assert_array_equal(found.reasons, reasons)


def named(catalogue: Catalogue, row: int) -> int | str:
    return row if row < N_ITEMS else catalogue.item_id(row)


class TestCursor:
    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=50), st.lists(st.text(min_size=1), max_size=4))
    def test_decoding_gives_what_was_encoded(self, items: list[bytes], categories: list[str]) -> None:
        made = Cursor().followed_by(items)
        assert cursor.decode(cursor.encode(made, categories), list(reversed(categories))) == made

    def test_longest_cursor_is_accepted_and_a_longer_one_is_not(self) -> None:
        longest = cursor.encode(Cursor(tuple(range(LONGEST_LIST))), [])
        assert len(longest) <= MAX_CURSOR_CHARACTERS
        assert len(cursor.decode(longest, []).shown) == LONGEST_LIST
        with pytest.raises(ParameterInvalid):
            cursor.decode(longest + "AAAAAAAA", [])

    @pytest.mark.parametrize(
        "text", ["", "c1.", "c1.AAA", "c1.AAAAAAA", "c1.====", "c1.\u00e9", "AAAAAAAA", "c1.AA AA"]
    )
    def test_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(ParameterInvalid) as refused:
            cursor.decode(text, [])
        assert refused.value.parameter == "cursor"
