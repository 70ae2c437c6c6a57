"""Events from JSON Lines: one object on each line, read by DuckDB so that a bad line costs only itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recsvc.bundle.types import Int64
from training.errors import DataInvalid
from training.sources.engine import query
from training.sources.files import read_bytes, utf8_content
from training.sources.lines import Lines
from training.sources.raw import REQUIRED, BadRow, RawEvents, choose_columns

NOT_AN_OBJECT = "malformed line: not a JSON object"


def read_jsonl_events(path: Path, columns: dict[str, str]) -> RawEvents:
    """The events of one JSON Lines file, every column as text; an id may be a string or a whole number.

    `columns` maps our field to the file's key. Raises `DataMissing`, or `DataInvalid` for a file that is empty,
    damaged, not UTF-8, has no JSON object or lacks a key altogether.
    """
    lines = Lines(utf8_content(path, read_bytes(path)))
    chosen = choose_columns(path, json_keys(path, lines), columns)
    wanted = ", ".join(f"{_read(ours, theirs)} AS {ours}" for ours, theirs in chosen.items())
    table = query(
        f"SELECT j IS NOT NULL AS fine, {wanted} FROM ({_OBJECTS})",  # noqa: S608
        lines=pa.table({"line": lines.as_arrow()}),
    )
    fine = table.column("fine").to_numpy()
    blank = lines.blank()
    malformed = [
        BadRow(path, line + 1, NOT_AN_OBJECT, lines.excerpt(line)) for line in np.flatnonzero(~fine & ~blank).tolist()
    ]
    at = np.flatnonzero(fine) + 1
    rows = table.filter(table.column("fine"))

    def excerpts(picked: Int64) -> list[str]:
        return [lines.excerpt(line - 1) for line in at[picked].tolist()]

    return RawEvents(path, "line", {ours: rows.column(ours) for ours in chosen}, len(at), at, malformed, excerpts)


# A line that is not JSON must not reach the JSON functions, which raise on it.
_OBJECTS = (
    "SELECT CASE WHEN json_type(value) = 'OBJECT' THEN value END AS j "
    "FROM (SELECT CASE WHEN json_valid(line) THEN line::JSON END AS value FROM lines)"
)


def json_keys(path: Path, lines: Lines) -> list[str]:
    """The keys of the file's objects, sorted. Raises `DataInvalid` when it has no object."""
    found: Any = query(
        f"SELECT DISTINCT unnest(json_keys(j)) AS name FROM ({_OBJECTS}) ORDER BY name",  # noqa: S608
        lines=pa.table({"line": lines.as_arrow()}),
    )
    if not found.num_rows:
        raise DataInvalid(f"{path}: no line is a JSON object; write one object per line, not a list of them")
    return [str(name) for name in found.column("name").to_pylist()]


def _read(ours: str, theirs: str) -> str:
    escaped = theirs.replace("~", "~0").replace("/", "~1").replace("'", "''")
    pointer = f"'/{escaped}'"
    if ours in REQUIRED:
        return f"CASE WHEN json_type(j, {pointer}) IN ('VARCHAR', 'BIGINT', 'UBIGINT') THEN j ->> {pointer} END"
    return f"j ->> {pointer}"
