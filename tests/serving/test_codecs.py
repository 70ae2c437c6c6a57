"""The bytes in the cache and the text of cursors: what goes in comes out, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.serving import cached_list, cursor
from recsvc.serving.candidates import REASONS, CandidateList, Source
from recsvc.serving.cursor import LONGEST_LIST, MAX_CURSOR_CHARACTERS, Cursor
from recsvc.serving.degraded import Degraded
from recsvc.serving.errors import ParameterInvalid

N_ITEMS = 5_000


@st.composite
def lists(draw: st.DrawFn) -> CandidateList:
    count = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return CandidateList(
        rows=rng.choice(N_ITEMS, size=count, replace=False).astype(np.int32),
        scores=rng.standard_normal(count).astype(np.float32),
        sources=rng.integers(0, len(Source), count).astype(np.uint8),
        reasons=rng.integers(-1, N_ITEMS, (count, REASONS)).astype(np.int32),
        complete=draw(st.booleans()),
        degraded=tuple(sorted(draw(st.sets(st.sampled_from(Degraded))), key=list(Degraded).index)),
    )


class TestCachedList:
    @given(lists())
    def test_decoding_gives_what_was_encoded(self, candidates: CandidateList) -> None:
        found = cached_list.decode(cached_list.encode(candidates), N_ITEMS)
        assert found is not None
        for name in ("rows", "scores", "sources", "reasons"):
            np.testing.assert_array_equal(getattr(found, name), getattr(candidates, name))
            assert getattr(found, name).dtype == getattr(candidates, name).dtype
        assert (found.complete, found.degraded) == (candidates.complete, candidates.degraded)

    @given(lists(), st.data())
    def test_any_flipped_byte_and_any_cut_is_a_miss(self, candidates: CandidateList, data: st.DataObject) -> None:
        raw = bytearray(cached_list.encode(candidates))
        place = data.draw(st.integers(0, len(raw) - 1))
        assert cached_list.decode(bytes(raw[:place]), N_ITEMS) is None
        raw[place] ^= data.draw(st.integers(1, 255))
        assert cached_list.decode(bytes(raw), N_ITEMS) is None

    @given(st.binary(max_size=200))
    def test_any_other_bytes_are_a_miss(self, raw: bytes) -> None:
        assert cached_list.decode(raw, N_ITEMS) is None

    @given(lists())
    def test_items_that_the_model_lacks_are_a_miss(self, candidates: CandidateList) -> None:
        found = cached_list.decode(cached_list.encode(candidates), 1)
        assert found is None or (not found.rows.any() and found.reasons.size == (found.reasons < 1).sum())


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
