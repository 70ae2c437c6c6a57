"""Event files by their path: one file, or a folder of parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from training.errors import DataInvalid
from training.sources.delimited import read_csv_events
from training.sources.files import event_parts, kind_of
from training.sources.jsonl import read_jsonl_events
from training.sources.parquet import read_parquet_events
from training.sources.raw import RawEvents, RawTable, concatenate

_READERS: Final[dict[str, Callable[[Path, dict[str, str]], RawEvents]]] = {
    "csv": read_csv_events,
    "jsonl": read_jsonl_events,
    "parquet": read_parquet_events,
}


def read_parts(path: Path, columns: dict[str, str]) -> tuple[RawTable, list[Path]]:
    """The events of a file, or of every file below a folder in the order of their paths, and those files.

    `columns` maps our field to the files' column. Raises `DataMissing`, or `DataInvalid` for an
    unreadable file.
    """
    files = event_parts(path) if path.is_dir() else [path]
    return concatenate(str(path), [_read_part(file, columns) for file in files]), files


def _read_part(path: Path, columns: dict[str, str]) -> RawEvents:
    kind = kind_of(path)
    if kind is None:
        raise DataInvalid(
            f"{path}: events are read from .csv, .tsv, .jsonl (each may end in .gz) and .parquet, or a folder of them; "
            "rename or convert the file"
        )
    return _READERS[kind](path, columns)
