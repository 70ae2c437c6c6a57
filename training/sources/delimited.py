"""Events from CSV: quickly where every record is one line, carefully where quoted values span lines."""

from __future__ import annotations

import csv
from collections.abc import Callable
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
    names = header or next(csv.reader([first], delimiter=delimiter))
    skip = 0 if header else 1
    chosen = choose_columns(path, names, columns)
    if len(lines) - int(lines.blank().sum()) <= skip:
        raise DataInvalid(f"{path}: the file has a header and no rows; export it again, with at least one event")
    quotes = lines.count(b'"') if b'"' in content else None
    parsed = None
    if quotes is None or not (quotes % 2).any():
        parsed = _parse_lines(path, lines, names, delimiter, skip, quoted=quotes is not None)
    if parsed is None:
        parsed = _parse_records(path, lines, names, delimiter, skip)
    table, at, malformed = parsed
    converted = {ours: table.column(names.index(theirs)) for ours, theirs in chosen.items()}

    def excerpts(rows: Int64) -> list[str]:
        return [lines.excerpt(line - 1) for line in at[rows].tolist()]

    return RawEvents(path, "line", converted, table.num_rows, at, malformed, excerpts)


def _wrong_count(expected: int) -> str:
    return f"malformed line: not {expected} columns"


type _Parsed = tuple[Any, Int64, list[BadRow]]


def _parse_lines(
    path: Path, lines: Lines, names: list[str], delimiter: str, skip: int, *, quoted: bool
) -> _Parsed | None:
    """All columns by pyarrow's parser, which numbers bad lines; None when its records turn out not to be lines."""
    wrong: list[int] = []

    def on_invalid(row: Any) -> str:
        wrong.append(row.number)
        return "skip"

    table = arrow_csv.read_csv(
        pa.BufferReader(lines.data),
        # Bad lines are numbered only when one thread reads.
        read_options=arrow_csv.ReadOptions(
            use_threads=False, skip_rows=skip, column_names=_distinct(names), block_size=1 << 24
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if quoted else False,
            ignore_empty_lines=False,
            newlines_in_values=quoted,
            invalid_row_handler=on_invalid,
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(_distinct(names), pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    count = len(lines)
    if table.num_rows + len(wrong) + skip != count:
        return None
    usable = np.ones(count, dtype=np.bool_)
    usable[:skip] = False
    usable[np.array(wrong, dtype=np.int64) - 1] = False
    at = np.flatnonzero(usable) + 1
    blank = lines.blank()
    if blank.any():
        keep = ~blank[at - 1]
        table, at = table.filter(pa.array(keep)), at[keep]
    reason = _wrong_count(len(names))
    malformed = [
        BadRow(path, line, reason, lines.excerpt(line - 1)) for line in sorted(wrong) if not blank[line - 1]
    ]
    return table, at, malformed


def _distinct(names: list[str]) -> list[str]:
    """pyarrow wants the columns that nobody asked for to have distinct names too."""
    return [str(position) for position in range(len(names))]


def _parse_records(path: Path, lines: Lines, names: list[str], delimiter: str, skip: int) -> _Parsed:
    """Record by record: a quoted value may span lines; where no record comes of it, its first line is malformed."""
    quotes = lines.count(b'"')
    blank = lines.blank()
    rows: list[list[str | None]] = []
    at: list[int] = []
    malformed: list[BadRow] = []
    line = skip
    while line < len(lines):
        if blank[line]:
            line += 1
            continue
        end = _record_end(quotes, line)
        values = None if end is None else _values(lines, line, end, delimiter)
        if end is not None and values is not None and len(values) == len(names):
            rows.append([value or None for value in values])
            at.append(line + 1)
            line = end
        else:
            reason = _wrong_count(len(names)) if values else "malformed line: a quote is not closed"
            malformed.append(BadRow(path, line + 1, reason, lines.excerpt(line)))
            line += 1
    arrays = [pa.array((row[i] for row in rows), type=pa.string()) for i in range(len(names))]
    table = pa.table(arrays, names=_distinct(names))
    return table, np.array(at, dtype=np.int64), malformed


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
