"""Chunks checked one after another, so that only numbers are held of all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsvc.bundle.types import Int32
from recsvc.eventlog.tombstones import Tombstones
from training.sources.check import Checked, Verdict, check_rows, reject
from training.sources.chunks import Chunks
from training.sources.raw import BadRow


def check_chunks(chunks: Chunks, *, max_reject_share: float, rejects_path: Path, tombstones: Tombstones) -> Checked:
    """As `training.sources.check.check`, of all chunks together: 21 bytes an event are held, and each id once.

    Which of two formats of time most rows have is decided in each chunk by itself.
    """
    count = 0
    users, items = np.empty(chunks.rows, dtype=np.int32), np.empty(chunks.rows, dtype=np.int32)
    types = np.empty(chunks.rows, dtype=np.int8)
    timestamps = np.empty(chunks.rows, dtype=np.float64)
    values = np.empty(chunks.rows, dtype=np.float32)
    user_codes, item_codes = _Codes(), _Codes()
    refused: list[BadRow] = []
    for table in chunks:
        found = check_rows(table, tombstones)
        place = slice(count, count + found.kept)
        users[place] = user_codes.of(found.users, found.user_labels)
        items[place] = item_codes.of(found.items, found.item_labels)
        types[place], timestamps[place], values[place] = found.types, found.timestamps, found.values
        refused += found.refused
        count += found.kept
    verdict = Verdict(chunks.name, chunks.rows, count, len(chunks.files) > 1, "row")
    return Checked(
        rows=np.arange(count),
        users=users[:count],
        user_labels=user_codes.labels,
        items=items[:count],
        item_labels=item_codes.labels,
        types=types[:count],
        timestamps=timestamps[:count],
        values=values[:count],
        rejects=reject(verdict, refused, max_reject_share, rejects_path),
    )


class _Codes:
    """Labels numbered as they come, over all chunks."""

    def __init__(self) -> None:
        self._code_of: dict[str, int] = {}

    @property
    def labels(self) -> list[str]:
        return list(self._code_of)

    def of(self, codes: Int32, labels: list[str]) -> Int32:
        """Codes into a chunk's labels as codes into all labels; int32, of the same length."""
        known = self._code_of
        new = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.int32, len(labels))
        return np.asarray(new[codes])
