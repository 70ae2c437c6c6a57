"""The lists as Parquet: part files that are there whole or not at all, so that a run goes on where it was stopped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.bundle.files import flush_directory
from recsvc.bundle.types import Bool, Bundle, Int32, StringTable
from training.batch.ranking import Lists
from training.errors import ConfigInvalid

_ERASED: Final = b"erased"
"""In a part's metadata: how many of its users were left out."""
_RUN: Final = b"run"
"""In a part's metadata: the version and the limit that it belongs to."""


@dataclass(frozen=True, slots=True)
class Part:
    """The users `first`..`end` - 1 of a bundle, in `path`. `shown` bool (end - first,): those who were not erased;
    `run` what the lists are of."""

    path: Path
    run: str
    first: int
    end: int
    shown: Bool

    @property
    def erased(self) -> int:
        """How many of its users are left out."""
        return int(np.count_nonzero(~self.shown))

    def is_done(self) -> bool:
        """Whether the file is there, and none of its users was erased since. Raises ConfigInvalid for another run's."""
        if not self.path.is_file():
            return False
        metadata = pq.read_schema(self.path).metadata or {}
        if metadata.get(_RUN) != self.run.encode():
            found = metadata.get(_RUN, b"something else").decode()
            raise ConfigInvalid(f"{self.path} is of {found}, not of {self.run}; remove the folder or name another one")
        return metadata.get(_ERASED) == str(self.erased).encode()

    def write(self, bundle: Bundle, lists: Lists, own: Int32) -> None:
        """Writes one row a user: `user_id`, `items` and `scores` best first, and `personal`, how many of the items the
        model chose; those behind are popular ones, and have the score 0."""
        there = lists.items >= 0
        lengths = there.sum(axis=1)
        starts = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        items = strings(bundle.items).take(pa.array(lists.items[there]))
        table = pa.table(
            {
                "user_id": strings(bundle.users).slice(self.first, self.end - self.first),
                "items": pa.ListArray.from_arrays(starts, items.cast(pa.string())),
                "scores": pa.ListArray.from_arrays(starts, pa.array(lists.scores[there])),
                "personal": pa.array(own),
            }
        ).filter(pa.array(self.shown))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            metadata = {_ERASED: str(self.erased).encode(), _RUN: self.run.encode()}
            with aside.open("wb") as file:
                pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
            flush_directory(self.path.parent)
        finally:
            aside.unlink(missing_ok=True)


def strings(table: StringTable) -> Any:
    """The strings as a pyarrow array over the same memory."""
    buffers = [None, pa.py_buffer(table.offsets), pa.py_buffer(table.data)]
    return pa.Array.from_buffers(pa.large_string(), len(table), buffers)
