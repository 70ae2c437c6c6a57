"""Parquet files too large to be held as text: read and checked some million rows at a time, kept as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.bundle.types import Int64
from training.sources.files import event_parts, kind_of
from training.sources.parquet import clear_errors, convert, row_excerpts
from training.sources.raw import FIELDS, RawEvents, RawTable, choose_columns

CHUNK_ROWS: Final = 4_000_000
"""As text they are a few hundred megabytes; more at a time is no faster."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """`files` in the order they are read, `chosen` our field → the files' column, `rows` in all."""

    name: str
    files: list[Path]
    chosen: dict[str, str]
    rows: int

    def __iter__(self) -> Iterator[RawTable]:
        """At most `CHUNK_ROWS` rows of one file at a time. Raises `DataInvalid` for a damaged file."""
        for file in self.files:
            before = 0
            with clear_errors(file), pq.ParquetFile(str(file)) as opened:
                for batch in opened.iter_batches(CHUNK_ROWS, columns=sorted(set(self.chosen.values()))):
                    yield self._table(file, pa.Table.from_batches([batch]), before)
                    before += batch.num_rows

    def _table(self, file: Path, table: Any, before: int) -> RawTable:
        columns = {ours: convert(file, ours, theirs, table.column(theirs)) for ours, theirs in self.chosen.items()}

        def excerpts(rows: Int64) -> list[str]:
            return row_excerpts(columns, rows)

        lines = np.arange(before + 1, before + 1 + table.num_rows, dtype=np.int64)
        part = RawEvents(file, "row", columns, table.num_rows, lines, [], excerpts)
        return RawTable(self.name, columns, [part], np.array([0, table.num_rows], dtype=np.int64))


def chunks_of(path: Path, columns: dict[str, str]) -> Chunks | None:
    """The Parquet file, or the folder of them, in chunks; None where it is to be read whole: where it is small, or not
    Parquet alone, or its parts differ in their columns, or there are event ids, of which each has to be compared with
    all others. `columns` as `read_parquet_events` takes it. Raises as that does."""
    files = event_parts(path) if path.is_dir() else [path]
    if any(kind_of(file) != "parquet" or file.suffix == ".gz" for file in files):
        return None
    metadata = []
    for file in files:
        with clear_errors(file):
            metadata.append(pq.read_metadata(str(file)))
    rows, schemas = sum(one.num_rows for one in metadata), [one.schema.to_arrow_schema() for one in metadata]
    if rows <= CHUNK_ROWS or any(schema != schemas[0] for schema in schemas):
        return None
    chosen = choose_columns(files[0], list(schemas[0].names), columns)
    if "event_id" in chosen or any(_may_be_empty(metadata, chosen[ours]) for ours in FIELDS if ours in chosen):
        return None
    return Chunks(str(path), files, chosen, rows)


def _may_be_empty(metadata: list[Any], column: str) -> bool:
    """Whether no row may have a value: such a column is left out, for which the whole of it has to be looked at."""
    nulls, rows = 0, 0
    for one in metadata:
        place = one.schema.names.index(column) if column in one.schema.names else -1
        for group in range(one.num_row_groups):
            statistics = one.row_group(group).column(place).statistics if place >= 0 else None
            if statistics is None or statistics.null_count is None:
                return True
            nulls, rows = nulls + statistics.null_count, rows + one.row_group(group).num_rows
    return nulls >= rows
