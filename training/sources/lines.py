"""A text file's lines, found without copying them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from recsvc.bundle.types import Bool, Int64
from training.sources.raw import EXCERPT_CHARACTERS


class Lines:
    """The lines of a UTF-8 text, counted from 0 here and from 1 in messages.

    `data` the whole text; `starts` int64 (n_lines + 1,): line i is data[starts[i]:starts[i + 1]], its line break
    included; a text that does not end with a line break ends its last line where it ends.
    """

    __slots__ = ("data", "starts")

    def __init__(self, data: bytes) -> None:
        self.data = data
        breaks = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n"))
        ends = breaks + 1
        if not len(ends) or ends[-1] != len(data):
            ends = np.append(ends, len(data))
        self.starts: Int64 = np.concatenate([[0], ends]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def text(self, line: int) -> str:
        """The line without its line break."""
        return str(self.data[self.starts[line] : self.starts[line + 1]], "utf-8").rstrip("\r\n")

    def excerpt(self, line: int) -> str:
        """The beginning of the line, for a message."""
        return self.text(line)[:EXCERPT_CHARACTERS]

    def blank(self) -> Bool:
        """Which lines hold nothing but a line break; bool (n_lines,)."""
        lengths = np.diff(self.starts)
        text = np.frombuffer(self.data, dtype=np.uint8)
        first = text[np.minimum(self.starts[:-1], len(text) - 1)]
        blank: Bool = (lengths == 0) | ((lengths == 1) & (first == ord("\n"))) | ((lengths == 2) & (first == ord("\r")))
        return blank

    def count(self, byte: bytes) -> Int64:
        """How many times the byte is on each line; int64 (n_lines,)."""
        marks = np.flatnonzero(np.frombuffer(self.data, dtype=np.uint8) == byte[0])
        found = np.searchsorted(marks, self.starts)
        return np.diff(found).astype(np.int64)

    def as_arrow(self) -> Any:
        """The lines, line breaks included, as a pyarrow large_string array over the same memory."""
        buffers = [None, pa.py_buffer(self.starts), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers)
