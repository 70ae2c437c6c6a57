"""The bytes of a candidate list in the cache.

Layout, little-endian: magic "cl", format u8, flags u8, degraded bits u16, count u16, codes u16, names u16, computed-at
u64 (milliseconds by Redis' clock); then the columns rows u16 or u32, scores f32, sources u8, reasons u8 or u16 ×
REASONS; then the codes i32, the names (length u16, UTF-8) and CRC-32 (u32) of all that precedes it. A candidate takes
9 bytes in a catalogue of up to 65,536 rows and 11 in a larger one.

`codes` are the distinct rows and categories that reasons name, -1 for none; the column has their places. Rows and
category codes that only this process knows (what is newer than the bundle) stand as places in `names` instead: a row
as n_items + place, a code as -2 - place. The reader gives them its own; an item it does not know drops out.

What is damaged, from another release, or names items that the model lacks is a miss, never an answer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from recsvc.bundle.types import Bundle, Float32, Int32, Int64, UInt8
from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source
from recsvc.serving.degraded import Degraded

_HEADER: Final = struct.Struct("<2sBBHHHHQ")
_CHECK: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<H")
_MAGIC: Final = b"cl"
_FORMAT: Final = 2
_COMPLETE, _WIDE_ROWS, _WIDE_REASONS, _OF_HISTORY = 1, 2, 4, 8
_BY_MODEL: Final = np.array([source.by_model for source in Source])
_DEGRADED_BITS: Final = tuple(Degraded)
"""Bit i stands for the i-th member: new members are appended."""


class Names(Protocol):
    """What rows and codes beyond the bundle's are called, in this process."""

    def item_id(self, row: int) -> str:
        """The item of a row."""

    def row_of(self, item_id: str) -> int | None:
        """Its row, or None."""

    def category_name(self, code: int) -> str:
        """The category of a code."""

    def category_code(self, name: str) -> int | None:
        """Its code, or None."""


def encode(candidates: CandidateList, bundle: Bundle, names: Names) -> bytes:
    """The list as bytes; at most 65,535 candidates. `names` knows the rows and codes that the bundle does not."""
    beyond: list[bytes] = []
    rows = candidates.rows.astype(np.int64)
    for place in np.flatnonzero(rows >= len(bundle.items)).tolist():
        name = names.item_id(int(rows[place]))
        rows[place] = len(bundle.items) + _place(beyond, name)
    codes, places = np.unique(_portable(candidates, bundle, names, beyond), return_inverse=True)
    wide_rows, wide_reasons = bool(len(rows) and rows.max() > 0xFFFF), len(codes) > 0x100
    flags = _COMPLETE * candidates.complete | _OF_HISTORY * candidates.of_history
    flags |= _WIDE_ROWS * wide_rows | _WIDE_REASONS * wide_reasons
    bits = sum(1 << _DEGRADED_BITS.index(entry) for entry in candidates.degraded)
    computed_at = round((candidates.computed_at or 0.0) * 1000)
    body = b"".join(
        (
            _HEADER.pack(_MAGIC, _FORMAT, flags, bits, len(candidates), len(codes), len(beyond), computed_at),
            rows.astype("<u4" if wide_rows else "<u2").tobytes(),
            candidates.scores.astype("<f4").tobytes(),
            candidates.sources.astype("u1").tobytes(),
            places.astype("<u2" if wide_reasons else "u1").tobytes(),
            codes.astype("<i4").tobytes(),
            *(_LENGTH.pack(len(name)) + name for name in beyond),
        )
    )
    return body + _CHECK.pack(zlib.crc32(body))


def decode(data: bytes, bundle: Bundle, names: Names) -> CandidateList | None:
    """The list that `encode` made under the same bundle, here or elsewhere, or None for bytes that are not one."""
    if len(data) < _HEADER.size + _CHECK.size:
        return None
    magic, version, flags, bits, count, n_codes, n_names, computed_at = _HEADER.unpack_from(data)
    end = len(data) - _CHECK.size
    if magic != _MAGIC or version != _FORMAT or bits >> len(_DEGRADED_BITS):
        return None
    if _CHECK.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[:end]):
        return None
    columns = _Columns.read(data, end, flags, count, n_codes)
    beyond = None if columns is None else _read_names(data, columns.end, end, n_names)
    if columns is None or beyond is None:
        return None
    rows = _own(columns.rows, len(bundle.items), columns.rows - len(bundle.items), beyond, names.row_of)
    reasons = _own_reasons(columns, bundle, names, beyond)
    if rows is None or reasons is None:
        return None
    here = rows != NO_REASON
    return CandidateList(
        rows[here],
        columns.scores[here],
        columns.sources[here],
        reasons[here],
        bool(flags & _COMPLETE),
        tuple(entry for bit, entry in enumerate(_DEGRADED_BITS) if bits >> bit & 1),
        computed_at / 1000 or None,
        bool(flags & _OF_HISTORY),
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """As they are in the bytes; `end` is where they end. `places` (n, REASONS) are those in `codes`."""

    rows: Int64
    scores: Float32
    sources: UInt8
    places: Int64
    codes: Int64
    end: int

    @classmethod
    def read(cls, data: bytes, end: int, flags: int, count: int, n_codes: int) -> _Columns | None:
        row, place = ("<u4" if flags & _WIDE_ROWS else "<u2"), ("<u2" if flags & _WIDE_REASONS else "u1")
        at = _HEADER.size
        found = []
        for dtype, length in ((row, count), ("<f4", count), ("u1", count), (place, count * REASONS), ("<i4", n_codes)):
            size = length * np.dtype(dtype).itemsize
            if at + size > end:
                return None
            found.append(np.frombuffer(data, dtype=dtype, count=length, offset=at))
            at += size
        rows, scores, sources, places, codes = found
        if count and (sources.max() >= len(Source) or places.max() >= n_codes):
            return None
        wide = places.reshape(count, REASONS).astype(np.int64)
        return cls(rows.astype(np.int64), scores.astype(np.float32), sources, wide, codes.astype(np.int64), at)


def _portable(candidates: CandidateList, bundle: Bundle, names: Names, beyond: list[bytes]) -> Int64:
    """The reasons, with -2 - place in `beyond` for what the bundle does not know."""
    reasons = candidates.reasons.astype(np.int64)
    by_model = _BY_MODEL[candidates.sources][:, None]
    limits = np.where(by_model, len(bundle.items), len(bundle.catalogue.categories))
    for row, column in np.argwhere(reasons >= limits).tolist():
        code = int(reasons[row, column])
        name = names.item_id(code) if by_model[row, 0] else names.category_name(code)
        reasons[row, column] = -2 - _place(beyond, name)
    return reasons


def _place(beyond: list[bytes], name: str) -> int:
    encoded = name.encode("utf-8")
    if encoded not in beyond:
        beyond.append(encoded)
    return beyond.index(encoded)


def _own_reasons(columns: _Columns, bundle: Bundle, names: Names, beyond: list[str]) -> Int32 | None:
    """The reasons in this process' rows and codes; what it does not know is no reason. None for what are none."""
    by_model = _BY_MODEL[columns.sources]
    reasons = np.full(columns.places.shape, NO_REASON, dtype=np.int32)
    kinds = (
        (by_model, len(bundle.items), names.row_of),
        (~by_model, len(bundle.catalogue.categories), names.category_code),
    )
    for chosen, known, find in kinds:
        codes = columns.codes[columns.places[chosen]]
        own = _own(codes, known, -2 - codes, beyond, find)
        if own is None:
            return None
        reasons[chosen] = own
    if beyond:
        # The first column is the one that counts: nothing stands behind a gap.
        gap = reasons[:, 0] == NO_REASON
        reasons[gap] = np.roll(reasons[gap], -1, axis=1)
    return reasons


def _own(codes: Int64, known: int, places: Int64, beyond: list[str], find: Callable[[str], int | None]) -> Int32 | None:
    """The codes below `known` as they are, those with a place in `beyond` as `find` has them, NO_REASON where it has
    none. None when there are others."""
    plain = (codes >= NO_REASON) & (codes < known)
    named = ~plain & (places >= 0) & (places < len(beyond))
    if not (plain | named).all():
        return None
    own = codes.astype(np.int32)
    if beyond:
        found = [find(name) for name in beyond]
        lookup = np.array([NO_REASON if code is None else code for code in found], dtype=np.int32)
        own[named] = lookup[places[named]]
    return own


def _read_names(data: bytes, at: int, end: int, count: int) -> list[str] | None:
    found: list[str] = []
    for _ in range(count):
        if at + _LENGTH.size > end:
            return None
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        try:
            found.append(data[at : min(at + length, end)].decode("utf-8"))
        except UnicodeDecodeError:
            return None
        at += length
    return found if at == end else None
