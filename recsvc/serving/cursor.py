"""The place in a list: which items earlier pages held, as short fingerprints.

A cursor is "c1." and base64url of a 4-byte digest of the categories followed by the 4-byte fingerprint of every item
shown so far. It names items and not a position, so a page never repeats one, whatever model answers. At 2,000 items
shown (the longest list) a fingerprint collides with a given other item with probability 5e-7.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recsvc.serving.errors import ParameterInvalid

_PREFIX: Final = "c1."
_BYTES: Final = 4
LONGEST_LIST: Final = 2_000
MAX_CURSOR_CHARACTERS: Final = len(_PREFIX) + 4 * ((LONGEST_LIST + 1) * _BYTES // 3 + 1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The fingerprints of the items of all earlier pages, in the order shown; none on the first page."""

    shown: tuple[int, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing may follow: as many items were shown as the longest list has."""
        return len(self.shown) >= LONGEST_LIST

    def followed_by(self, item_ids: Iterable[bytes]) -> Cursor:
        """The cursor after a page of these items (UTF-8 ids)."""
        return Cursor(self.shown + tuple(map(fingerprint, item_ids)))


fingerprint: Final = zlib.crc32
"""Four bytes of an item id (UTF-8)."""


def encode(cursor: Cursor, categories: Sequence[str]) -> str:
    """The cursor as text, bound to these categories."""
    raw = _digest(categories) + struct.pack(f"<{len(cursor.shown)}I", *cursor.shown)
    return _PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: str | None, categories: Sequence[str]) -> Cursor:
    """The cursor that `encode` gave; None is the first page.

    Raises ParameterInvalid for text that is no cursor, and for one of a list with other categories.
    """
    if text is None:
        return Cursor()
    if not text.startswith(_PREFIX) or len(text) > MAX_CURSOR_CHARACTERS:
        raise _malformed()
    body = text.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _malformed() from exc
    if len(raw) < _BYTES or len(raw) % _BYTES:
        raise _malformed()
    if raw[:_BYTES] != _digest(categories):
        raise ParameterInvalid(
            "cursor", "belongs to a list with other categories; send the categories of the first page, or no cursor"
        )
    return Cursor(tuple(np.frombuffer(raw, dtype="<u4", offset=_BYTES).tolist()))


def _digest(categories: Sequence[str]) -> bytes:
    joined = "\0".join(sorted(set(categories)))
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()


def _malformed() -> ParameterInvalid:
    return ParameterInvalid("cursor", "is not a cursor; send next_cursor of the page before, unchanged, or none")
