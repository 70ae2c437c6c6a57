"""The bytes of a candidate list in the cache.

Layout, little-endian: magic "cl", format u8, flags u8 (bit 0 complete), degraded bits u16, count u16, then the
columns rows u32, scores f32, reasons i32 × REASONS, sources u8, and CRC-32 (u32) of all that precedes it. 17 bytes
an item; what is damaged, from another release, or names items that the model lacks is a miss, never an answer.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np

from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source
from recsvc.serving.degraded import Degraded

_HEADER: Final = struct.Struct("<2sBBHH")
_CHECK: Final = struct.Struct("<I")
_MAGIC: Final = b"cl"
_FORMAT: Final = 1
_ITEM_BYTES: Final = 4 + 4 + 4 * REASONS + 1
_COMPLETE: Final = 1
_DEGRADED_BITS: Final = tuple(Degraded)
"""Bit i stands for the i-th member: new members are appended."""


def encode(candidates: CandidateList) -> bytes:
    """The list as bytes; at most 65,535 candidates."""
    bits = sum(1 << _DEGRADED_BITS.index(entry) for entry in candidates.degraded)
    flags = _COMPLETE if candidates.complete else 0
    body = b"".join(
        (
            _HEADER.pack(_MAGIC, _FORMAT, flags, bits, len(candidates)),
            candidates.rows.astype("<u4").tobytes(),
            candidates.scores.astype("<f4").tobytes(),
            candidates.reasons.astype("<i4").tobytes(),
            candidates.sources.astype("u1").tobytes(),
        )
    )
    return body + _CHECK.pack(zlib.crc32(body))


def decode(data: bytes, n_items: int) -> CandidateList | None:
    """The list that `encode` made of `n_items` possible rows, or None for bytes that are not one."""
    if len(data) < _HEADER.size + _CHECK.size:
        return None
    magic, version, flags, bits, count = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _FORMAT or bits >> len(_DEGRADED_BITS):
        return None
    end = _HEADER.size + count * _ITEM_BYTES
    if len(data) != end + _CHECK.size or _CHECK.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        return None
    at = _HEADER.size
    rows = np.frombuffer(data, dtype="<u4", count=count, offset=at)
    scores = np.frombuffer(data, dtype="<f4", count=count, offset=at + 4 * count)
    reasons = np.frombuffer(data, dtype="<i4", count=count * REASONS, offset=at + 8 * count)
    sources = np.frombuffer(data, dtype="u1", count=count, offset=at + (8 + 4 * REASONS) * count)
    if count and (
        rows.max() >= n_items or reasons.max() >= n_items or reasons.min() < NO_REASON or sources.max() > max(Source)
    ):
        return None
    return CandidateList(
        rows.astype(np.int32),
        scores.astype(np.float32),
        sources,
        reasons.reshape(count, REASONS).astype(np.int32),
        bool(flags & _COMPLETE),
        tuple(entry for bit, entry in enumerate(_DEGRADED_BITS) if bits >> bit & 1),
    )
