"""Events as a file has them, before any check: our fields' columns, and where each row stands in the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.bundle.types import Int64
from training.errors import DataInvalid

FIELDS: Final = ("user_id", "item_id", "type", "timestamp", "value", "event_id")
REQUIRED: Final = ("user_id", "item_id")
EXCERPT_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used: `line` counted from 1 in `path`, `reason` the same words for the same fault."""

    path: Path
    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class RawEvents:
    """One file. `columns` our field → pyarrow ChunkedArray of n rows; ids are text or int64, `timestamp` text, a
    number or timestamp[us, UTC], `value` text or float64, the rest text; null where the file has nothing.

    `lines` int64 (n,) each row's line, None when row i stands on line i + 1; `unit` what a line is called ("line",
    or "row" in Parquet); `malformed` the lines that are no rows at all; `excerpts` the raw text of some rows.
    """

    path: Path
    unit: str
    columns: dict[str, Any]
    count: int
    lines: Int64 | None
    malformed: list[BadRow]
    excerpts: Callable[[Int64], list[str]]


@dataclass(frozen=True, slots=True)
class RawTable:
    """The files of one source end to end: `columns` as in `RawEvents`, of one type over all the files.

    `starts` int64 (n_parts + 1,): part p has the rows starts[p]..starts[p + 1].
    """

    name: str
    columns: dict[str, Any]
    parts: list[RawEvents]
    starts: Int64

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def unit(self) -> str:
        """What a line is called in its (first) part."""
        return self.parts[0].unit if self.parts else "line"

    @property
    def malformed(self) -> list[BadRow]:
        """The malformed lines of every part."""
        return [bad for part in self.parts for bad in part.malformed]

    def bad_rows(self, rows: Int64, reasons: Sequence[str]) -> list[BadRow]:
        """The rows (ascending) as `BadRow`, reasons[i] being that of rows[i]."""
        found: list[BadRow] = []
        bounds = np.searchsorted(rows, self.starts)
        for part, start, low, high in zip(self.parts, self.starts, bounds.tolist(), bounds[1:].tolist(), strict=False):
            local = rows[low:high] - start
            lines = local + 1 if part.lines is None else part.lines[local]
            found.extend(
                BadRow(part.path, line, reason, excerpt)
                for line, reason, excerpt in zip(lines.tolist(), reasons[low:high], part.excerpts(local), strict=True)
            )
        return found


def choose_columns(path: Path, available: Sequence[str], columns: dict[str, str]) -> dict[str, str]:
    """Our field → the file's column, for the fields that the file has.

    Raises `DataInvalid` for a field that is not ours, a column that the file lacks or has twice, and a file without
    user and item ids; the message lists the columns and says how to pass a mapping.
    """
    hint = f'it has: {", ".join(available)}; map ours to them with COLUMNS="user_id=uid,item_id=iid"'
    for ours in columns:
        if ours not in FIELDS:
            raise DataInvalid(f"COLUMNS names {ours!r}, which is not one of our fields: {', '.join(FIELDS)}")
    chosen: dict[str, str] = {}
    for ours in FIELDS:
        theirs = columns.get(ours, ours)
        if theirs in available:
            if list(available).count(theirs) > 1:
                raise DataInvalid(f"{path}: the column {theirs!r} is there twice; {hint}")
            chosen[ours] = theirs
        elif ours in columns or ours in REQUIRED:
            raise DataInvalid(f"{path}: there is no column {theirs!r} for {ours}; {hint}")
    return chosen


def concatenate(name: str, parts: list[RawEvents]) -> RawTable:
    """The parts as one table; columns whose types differ between parts become text, and all-null ones disappear.

    A part without a column has nulls in it, and `view` for the type.
    """
    columns: dict[str, Any] = {}
    for ours in FIELDS:
        having = [part for part in parts if ours in part.columns and part.count]
        if not having:
            continue
        types = {str(part.columns[ours].type) for part in having}
        target = having[0].columns[ours].type if len(types) == 1 else pa.string()
        chunks = [chunk for part in parts if part.count for chunk in _chunks(part, ours, target)]
        column = pa.chunked_array(chunks, type=target)
        if column.null_count < len(column) or ours in REQUIRED:
            columns[ours] = column
        else:
            logging.getLogger(__name__).warning("%s: no row has a %s; the column is left out", name, ours)
    starts = np.cumsum([0, *(part.count for part in parts)], dtype=np.int64)
    return RawTable(name, columns, parts, starts)


def _chunks(part: RawEvents, ours: str, target: Any) -> list[Any]:
    if ours in part.columns:
        column = part.columns[ours]
        return list((column if column.type == target else pc.cast(column, target)).chunks)
    filler = pa.scalar("view" if ours == "type" else None, type=target)
    return [pa.repeat(filler, part.count)]
