"""Events from CSV: quickly where every record is one line, carefully where quoted values span lines."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from recsvc.bundle.types import Int64
from training.errors import DataInvalid
from training.sources.files import read_bytes, utf8_content
from training.sources.lines import Lines
from training.sources.raw import BadRow, RawEvents, choose_columns

DELIMITERS: Final = (",", "\t", ";")
_BLOCK_BYTES: Final = 1 << 24
_LONGEST_RECORD_LINES: Final = 100
"""A quote still open after so many lines is taken for a stray one."""


def read_csv_events(
    path: Path,
    columns: dict[str, str],
    *,
    header: list[str] | None = None,
    prepare: Callable[[bytes], bytes] | None = None,
) -> RawEvents:
    """The events of one CSV file (comma, tab or semicolon, by the first line), every column as text.

    `columns` maps our field to the file's column; `header` names the columns of a file that has no header line;
    `prepare` rewrites the content first, line by line. Lines with another number of values, or a quote that does not
    close, are malformed. Raises `DataMissing`, or `DataInvalid` for an empty, damaged or not UTF-8 file.
    """
    content = utf8_content(path, read_bytes(path))
    if prepare is not None:
        content = prepare(content)
    lines = Lines(content)
    first = lines.text(0)
    delimiter = max(DELIMITERS, key=first.count)
    names = header or _header(path, first, delimiter)
    skip = 0 if header else 1
    chosen = choose_columns(path, names, columns)
    if len(lines) - int(lines.blank().sum()) <= skip:
        raise DataInvalid(f"{path}: the file has a header and no rows; export it again, with at least one event")
    quotes = lines.count(b'"') if b'"' in content else None
    layout = _Layout(path, lines, delimiter, skip, len(names), sorted({names.index(c) for c in chosen.values()}))
    parsed = None
    if quotes is None or not (quotes % 2).any():
        parsed = _parse_lines(layout, quoted=quotes is not None)
    table, at, malformed = parsed or _parse_records(layout)
    converted = {ours: table.column(str(names.index(theirs))) for ours, theirs in chosen.items()}

    def excerpts(rows: Int64) -> list[str]:
        return [lines.excerpt(line - 1) for line in at[rows].tolist()]

    return RawEvents(path, "line", converted, table.num_rows, at, malformed, excerpts)


def _header(path: Path, first: str, delimiter: str) -> list[str]:
    if "\r" in first:
        raise DataInvalid(f"{path}, line 1: lines end with a carriage return alone; convert it: tr '\\r' '\\n'")
    try:
        return next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except csv.Error as exc:
        raise DataInvalid(f"{path}, line 1: the header is not CSV ({exc}); correct its quotes") from exc


@dataclass(frozen=True, slots=True)
class _Layout:
    """The text to parse: `skip` lines of header, then records of `width` values, of which `wanted` are kept."""

    path: Path
    lines: Lines
    delimiter: str
    skip: int
    width: int
    wanted: list[int]

    def wrong_width(self, line: int) -> BadRow:
        """The line (from 1) as malformed for its number of values."""
        reason = f"malformed line: not {self.width} columns"
        return BadRow(self.path, line, reason, self.lines.excerpt(line - 1))

    def open_quote(self, line: int) -> BadRow:
        """The line (from 1) as malformed for a quote that does not close."""
        return BadRow(self.path, line, "malformed line: a quote is not closed", self.lines.excerpt(line - 1))


_Parsed = tuple[Any, Int64, list[BadRow]]
"""The wanted columns (named by their positions), each row's line from 1, and the lines that are no rows."""


def _parse_lines(layout: _Layout, *, quoted: bool) -> _Parsed | None:
    """By pyarrow's parser, which numbers bad lines; None when its records turn out not to be the text's lines."""
    wrong: list[int] = []

    def on_invalid(row: Any) -> str:
        wrong.append(row.number)
        return "skip"

    kept = [str(position) for position in layout.wanted]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(layout.lines.data),
            # Bad lines are numbered only when one thread reads.
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                skip_rows=layout.skip,
                column_names=[str(position) for position in range(layout.width)],
                block_size=_BLOCK_BYTES,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter,
                quote_char='"' if quoted else False,
                ignore_empty_lines=False,
                newlines_in_values=quoted,
                invalid_row_handler=on_invalid,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=kept,
                column_types=dict.fromkeys(kept, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    count = len(layout.lines)
    if table.num_rows + len(wrong) + layout.skip != count:
        return None
    usable = np.ones(count, dtype=np.bool_)
    usable[: layout.skip] = False
    usable[np.array(wrong, dtype=np.int64) - 1] = False
    at = np.flatnonzero(usable) + 1
    blank = layout.lines.blank()
    if blank.any():
        keep = ~blank[at - 1]
        table, at = table.filter(pa.array(keep)), at[keep]
    return table, at, [layout.wrong_width(line) for line in sorted(wrong) if not blank[line - 1]]


def _parse_records(layout: _Layout) -> _Parsed:
    """Record by record: a quoted value may span lines; where no record comes of it, its first line is malformed."""
    lines = layout.lines
    quotes = lines.count(b'"')
    blank = lines.blank()
    rows: list[list[str]] = []
    at: list[int] = []
    malformed: list[BadRow] = []
    line = layout.skip
    while line < len(lines):
        if blank[line]:
            line += 1
            continue
        end = _record_end(quotes, line)
        values = None if end is None else _values(lines, line, end, layout.delimiter)
        if end is None or values is None:
            malformed.append(layout.open_quote(line + 1))
            line += 1
        elif len(values) != layout.width:
            malformed.append(layout.wrong_width(line + 1))
            line += 1
        else:
            rows.append([values[position] for position in layout.wanted])
            at.append(line + 1)
            line = end
    columns = {
        str(position): pa.array([row[i] or None for row in rows], type=pa.string())
        for i, position in enumerate(layout.wanted)
    }
    return pa.table(columns), np.array(at, dtype=np.int64), malformed


def _record_end(quotes: Int64, line: int) -> int | None:
    """The line after the one on which the record's quotes are all closed."""
    open_quote = False
    for end in range(line, min(line + _LONGEST_RECORD_LINES, len(quotes))):
        open_quote ^= bool(quotes[end] % 2)
        if not open_quote:
            return end + 1
    return None


def _values(lines: Lines, start: int, end: int, delimiter: str) -> list[str] | None:
    text = str(lines.data[lines.starts[start] : lines.starts[end]], "utf-8")
    try:
        records = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None
