"""Events from JSON Lines: one object on each line, read by DuckDB so that a bad line costs only itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsvc.bundle.types import Int64
from training.errors import DataInvalid
from training.sources.engine import query
from training.sources.files import read_bytes, utf8_content
from training.sources.lines import Lines
from training.sources.raw import FIELDS, REQUIRED, BadRow, RawEvents, choose_columns

NOT_AN_OBJECT = "malformed line: not a JSON object"


def read_jsonl_events(path: Path, columns: dict[str, str]) -> RawEvents:
    """The events of one JSON Lines file, every column as text; an id may be a string or a whole number.

    `columns` maps our field to the file's key. Raises `DataMissing`, or `DataInvalid` for a file that is empty,
    damaged, not UTF-8, has no JSON object or lacks a key altogether.
    """
    lines = Lines(utf8_content(path, read_bytes(path)))
    table = query(_extraction(columns), lines=pa.table({"line": lines.as_arrow()}))
    fine = table.column("fine").to_numpy()
    rows = table.filter(table.column("fine"))
    found = {ours: rows.column(ours) for ours in FIELDS}
    empty = {ours for ours, column in found.items() if column.null_count == len(column)}
    if empty.intersection({*REQUIRED, *columns}) or not columns.keys() <= found.keys():
        # Perhaps the key is nowhere; the list of those that are makes the message.
        choose_columns(path, json_keys(path, lines), columns)
    at = np.flatnonzero(fine) + 1
    malformed = [
        BadRow(path, line + 1, NOT_AN_OBJECT, lines.excerpt(line))
        for line in np.flatnonzero(~fine & ~lines.blank()).tolist()
    ]

    def excerpts(picked: Int64) -> list[str]:
        return [lines.excerpt(line - 1) for line in at[picked].tolist()]

    kept = {ours: column for ours, column in found.items() if ours not in empty or ours in REQUIRED}
    return RawEvents(path, "line", kept, len(at), at, malformed, excerpts)


_PARSED: Final = "SELECT try_cast(line AS JSON) AS j FROM lines"


def _extraction(columns: dict[str, str]) -> str:
    """SQL for `fine` (the line is an object) and our fields as text; one parse for the texts, one for the types."""
    pointers = {ours: _pointer(columns.get(ours, ours)) for ours in FIELDS}
    types = ", ".join(pointers[ours] for ours in REQUIRED)
    fields = [
        # Other types, an object or 1.5, are no ids, whatever their text.
        f"CASE WHEN types[{2 + REQUIRED.index(ours)}] IN ('VARCHAR', 'BIGINT', 'UBIGINT') THEN texts[{i}] END AS {ours}"
        if ours in REQUIRED
        else f"texts[{i}] AS {ours}"
        for i, ours in enumerate(FIELDS, start=1)
    ]
    return f"""
        SELECT j IS NOT NULL AND types[1] = 'OBJECT' AS fine, {", ".join(fields)}
        FROM (SELECT j, json_type(j, ['$', {types}]) AS types,
                     json_extract_string(j, [{", ".join(pointers.values())}]) AS texts FROM ({_PARSED}))
    """  # noqa: S608


def json_keys(path: Path, lines: Lines) -> list[str]:
    """The keys of the file's objects, sorted. Raises `DataInvalid` when it has no object."""
    objects = f"SELECT j FROM ({_PARSED}) WHERE json_type(j) = 'OBJECT'"  # noqa: S608
    found: Any = query(
        f"SELECT DISTINCT unnest(json_keys(j)) AS name FROM ({objects}) ORDER BY name",  # noqa: S608
        lines=pa.table({"line": lines.as_arrow()}),
    )
    if not found.num_rows:
        raise DataInvalid(f"{path}: no line is a JSON object; write one object per line, not a list of them")
    return [str(name) for name in found.column("name").to_pylist()]


def _pointer(theirs: str) -> str:
    """The key as an SQL literal of a JSON pointer (RFC 6901)."""
    escaped = theirs.replace("~", "~0").replace("/", "~1").replace("'", "''")
    return f"'/{escaped}'"
