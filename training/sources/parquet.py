"""Events from Parquet: the columns asked for, brought to the few types that the checks know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsvc.bundle.types import Int64
from training.errors import DataInvalid, DataMissing
from training.sources.files import read_bytes
from training.sources.raw import EXCERPT_CHARACTERS, RawEvents, choose_columns


def read_parquet_events(path: Path, columns: dict[str, str]) -> RawEvents:
    """The events of one Parquet file; `columns` maps our field to the file's column, by its own name when absent.

    Raises `DataMissing` when the file cannot be opened, `DataInvalid` when it is truncated, damaged or lacks a column.
    """
    names = parquet_columns(path)
    chosen = choose_columns(path, names, columns)
    table = read_parquet_table(path, sorted(set(chosen.values())))
    converted = {ours: convert(path, ours, theirs, table.column(theirs)) for ours, theirs in chosen.items()}

    def excerpts(rows: Int64) -> list[str]:
        return row_excerpts(converted, rows)

    return RawEvents(path, "row", converted, table.num_rows, None, [], excerpts)


def row_excerpts(columns: dict[str, Any], rows: Int64) -> list[str]:
    """The beginnings of some rows, for messages: `user_id=u1, item_id=v2, …`."""
    taken = {ours: _readable(column.take(pa.array(rows))) for ours, column in columns.items()}
    lines = zip(*taken.values(), strict=True)
    return [_pairs(zip(taken, line, strict=True))[:EXCERPT_CHARACTERS] for line in lines]


def _pairs(row: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{ours}={value}" for ours, value in row if value is not None)


def _readable(column: Any) -> list[Any]:
    """The values, bytes that are not UTF-8 as \\x escapes, times as text: Python has no year 10000."""
    if pa.types.is_timestamp(column.type):
        column = pc.cast(pc.cast(column, pa.timestamp("us")), pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.cast(column, pa.large_binary())
    values = column.to_pylist()
    return [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value for value in values]


def parquet_columns(path: Path) -> list[str]:
    """The names of the file's top-level columns. Raises as `read_parquet_table`."""
    with clear_errors(path):
        return list(pq.read_schema(_source(path)).names)


def read_parquet_table(path: Path, columns: list[str]) -> Any:
    """The columns as a pyarrow Table. Raises `DataMissing`, or `DataInvalid` for a truncated or damaged file."""
    with clear_errors(path):
        return pq.ParquetFile(_source(path)).read(columns=columns)


def _source(path: Path) -> Any:
    return pa.BufferReader(read_bytes(path)) if path.suffix == ".gz" else str(path)


class clear_errors:  # noqa: N801
    """Turns what pyarrow raises on a bad file into our errors."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if self.path.is_file() and self.path.stat().st_size == 0:
            raise DataInvalid(f"{self.path}: the file is empty; export it again, with at least one event")

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, FileNotFoundError | PermissionError):
            raise DataMissing(f"{self.path}: cannot be opened ({exc.strerror}); check the path and its rights") from exc
        if isinstance(exc, pa.ArrowException | OSError):
            detail = str(exc).splitlines()[0]
            raise DataInvalid(
                f"{self.path}: not a complete Parquet file ({detail}); it may be truncated: copy or export it again"
            ) from exc


def convert(path: Path, ours: str, theirs: str, column: Any) -> Any:
    """A column of a file as `RawEvents` has our field. Raises `DataInvalid` for a type that cannot be it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = pc.cast(column, kind.value_type)
        kind = kind.value_type
    if pa.types.is_null(kind):
        return pc.cast(column, pa.string())
    convert = {"timestamp": _time, "value": _number}.get(ours, _id if ours in ("user_id", "item_id") else _text)
    converted = convert(column, kind)
    if converted is None:
        raise DataInvalid(
            f"{path}: the column {theirs!r} has type {kind}, which cannot be {ours}; store ids and types as text (ids "
            "also as whole numbers), times as timestamps, RFC 3339 or Unix seconds, values as numbers"
        )
    return converted


def _text(column: Any, kind: Any) -> Any | None:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_string_view(kind) or pa.types.is_integer(kind):
        return pc.cast(column, pa.string())
    return None


def _id(column: Any, kind: Any) -> Any | None:
    if pa.types.is_integer(kind):
        # An unsigned id may not fit int64; its text always does.
        return pc.cast(column, pa.string() if pa.types.is_uint64(kind) else pa.int64())
    if pa.types.is_floating(kind):
        # What a data frame makes of whole numbers with gaps: 7.0 is the id 7, and anything else is no id.
        values = column.to_numpy().astype(np.float64)
        whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < 2.0**53)
        return pa.chunked_array([pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)])
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return column
    return _text(column, kind)


def _number(column: Any, kind: Any) -> Any | None:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pc.cast(column, pa.float64(), safe=False)
    return _text(column, kind)


def _time(column: Any, kind: Any) -> Any | None:
    if pa.types.is_date32(kind):
        return _microseconds(pc.cast(pc.cast(column, pa.int32()), pa.int64()), 86_400_000_000)
    if pa.types.is_date64(kind):
        return _microseconds(pc.cast(column, pa.int64()), 1_000)
    if pa.types.is_timestamp(kind):
        # A time without a zone is read as UTC.
        counts = pc.cast(column, pa.int64())
        if kind.unit == "ns":
            return pc.cast(pc.divide(counts, 1_000), pa.timestamp("us", tz="UTC"))
        return _microseconds(counts, {"s": 1_000_000, "ms": 1_000, "us": 1}[kind.unit])
    return _number(column, kind)


def _microseconds(counts: Any, factor: int) -> Any:
    """`counts` int64 times the factor, as timestamps; what does not fit becomes a time that the checks refuse."""
    most = np.iinfo(np.int64).max // factor
    return pc.cast(
        pc.multiply(
            pc.min_element_wise(pc.max_element_wise(counts, -most, skip_nulls=False), most, skip_nulls=False), factor
        ),
        pa.timestamp("us", tz="UTC"),
    )
