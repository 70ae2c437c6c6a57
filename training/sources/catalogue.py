"""The optional item catalogue: one row per item, in CSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.bundle.types import NO_TIME
from recsvc.events.schema import id_problem
from training.errors import DataInvalid, DataMissing
from training.sources.dataset import Attribute, ItemColumns
from training.sources.delimited import DELIMITERS
from training.sources.files import kind_of, read_text
from training.sources.parquet import parquet_columns, read_parquet_table
from training.sources.times import LATEST_SECONDS, MILLISECONDS_FROM

COLUMNS: Final = ("item_id", "title", "creator", "categories", "published_at")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """What is known of one item: "", () and {} where nothing is, `published_at` Unix seconds or NO_TIME."""

    item_id: str
    title: str = ""
    creator: str = ""
    categories: tuple[str, ...] = ()
    published_at: int = NO_TIME
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def item_columns(item_ids: Sequence[str], records: Sequence[ItemRecord]) -> ItemColumns:
    """The records in the order of the ids, with an empty one where there is none."""
    known = {record.item_id: record for record in records}
    rows = [known.get(item_id) or ItemRecord(item_id) for item_id in item_ids]
    return ItemColumns(
        titles=[row.title for row in rows],
        creators=[row.creator for row in rows],
        categories=[list(row.categories) for row in rows],
        published_at=np.array([row.published_at for row in rows], dtype=np.int64),
        attributes=[row.attributes for row in rows],
    )


def read_catalogue(path: Path) -> list[ItemRecord]:
    """The items of a catalogue file, in file order; columns item_id, title, creator, categories, published_at.

    Only item_id is needed, and other columns are left alone. Categories are a list, or text with `|` between them;
    published_at is Unix seconds, RFC 3339 or a date. JSON Lines may have attributes as well, an object. Raises
    `DataMissing`, or `DataInvalid` naming the line for an item that is there twice or a value that cannot be used.
    """
    if not path.is_file():
        raise DataMissing(f"{path}: there is no such catalogue file; check the path given as CATALOGUE")
    readers: dict[str | None, Callable[[Path], list[tuple[int, dict[str, Any]]]]] = {
        "csv": _csv_rows,
        "jsonl": _jsonl_rows,
        "parquet": _parquet_rows,
    }
    reader = readers.get(kind_of(path))
    if reader is None:
        raise DataInvalid(
            f"{path}: a catalogue is .csv, .jsonl (either may end in .gz) or .parquet; rename or convert it"
        )
    unit = "row" if kind_of(path) == "parquet" else "line"
    first_line: dict[str, int] = {}
    records: list[ItemRecord] = []
    for line, row in reader(path):
        try:
            record = _record(row)
        except ValueError as exc:
            raise DataInvalid(f"{path}, {unit} {line}: {exc}; correct the {unit}") from exc
        earlier = first_line.setdefault(record.item_id, line)
        if earlier != line:
            raise DataInvalid(
                f"{path}, {unit}s {earlier} and {line}: the item {record.item_id!r} is there twice; keep one of them"
            )
        records.append(record)
    if not records:
        raise DataInvalid(f"{path}: the catalogue has no items; leave CATALOGUE out or give one with items")
    return records


def _csv_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    text = read_text(path)
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    rows: list[tuple[int, dict[str, Any]]] = []
    line = 1
    try:
        names = next(reader)
        _require_item_id(path, names)
        line = reader.line_num + 1
        for values in reader:
            if values and len(values) != len(names):
                raise DataInvalid(
                    f"{path}, line {line}: {len(values)} values for {len(names)} columns; quote values that contain "
                    "the delimiter"
                )
            if values:
                row = dict(zip(names, values, strict=True))
                rows.append((line, {name: row[name] for name in COLUMNS if name in row}))
            line = reader.line_num + 1
    except csv.Error as exc:
        raise DataInvalid(f"{path}, line {line}: not CSV ({exc}); check its quotes") from exc
    return rows


def _jsonl_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    rows: list[tuple[int, dict[str, Any]]] = []
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            raise DataInvalid(f"{path}, line {line}: not JSON ({exc}); write one object per line") from exc
        if not isinstance(row, dict):
            raise DataInvalid(f"{path}, line {line}: not a JSON object; write one object per line")
        rows.append((line, row))
    if rows and not any("item_id" in row for _, row in rows):
        _require_item_id(path, sorted({name for _, row in rows for name in row}))
    return rows


def _parquet_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    names = parquet_columns(path)
    _require_item_id(path, names)
    table = read_parquet_table(path, [name for name in COLUMNS if name in names])
    place = table.column_names.index("published_at") if "published_at" in names else -1
    if place >= 0:
        # Python has no moments outside the years 1 to 9999; a number of seconds can be refused by its row.
        table = table.set_column(place, "published_at", _seconds(table.column(place)))
    try:
        return list(enumerate(table.to_pylist(), start=1))
    except UnicodeDecodeError as exc:
        raise DataInvalid(f"{path}: a text column is not UTF-8 ({exc}); export it as UTF-8") from exc


def _seconds(column: Any) -> Any:
    """Times and dates as Unix seconds, float64; any other column as it is."""
    kind = column.type
    if pa.types.is_date(kind):
        per_second = 1 / 86_400 if pa.types.is_date32(kind) else 1e3
        numbers = pc.cast(pc.cast(column, pa.int32()) if pa.types.is_date32(kind) else column, pa.int64())
    elif pa.types.is_timestamp(kind):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        numbers = pc.cast(column, pa.int64())
    else:
        return column
    return pc.divide(pc.cast(numbers, pa.float64(), safe=False), per_second)


def _require_item_id(path: Path, names: Sequence[str]) -> None:
    if "item_id" not in names:
        raise DataInvalid(f"{path}: there is no column 'item_id'; it has: {', '.join(names)}; rename the column")


def _record(row: dict[str, Any]) -> ItemRecord:
    item_id = _id_text(row.get("item_id"))
    if item_id is None:
        raise ValueError(f"item_id {row.get('item_id')!r} is neither text nor a whole number")
    if (problem := id_problem(item_id)) is not None:
        raise ValueError(f"item_id {problem}")
    creator = _id_text(row.get("creator")) or ""
    categories = _categories(row.get("categories"))
    for name, value in [("creator", creator)] * bool(creator) + [("category", value) for value in categories]:
        if (problem := id_problem(value)) is not None:
            raise ValueError(f"{name} {value[:40]!r} {problem}")
    title = row.get("title")
    return ItemRecord(
        item_id=item_id,
        title=_CONTROL.sub(" ", str(title)).strip() if title is not None else "",
        creator=creator,
        categories=categories,
        published_at=_published(row.get("published_at")),
        attributes=_attributes(row.get("attributes")),
    )


def _id_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _categories(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split("|") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"categories {value!r} is neither a list of text nor text with | between the categories")
    return tuple(dict.fromkeys(stripped for part in parts if (stripped := part.strip())))


def _attributes(value: object) -> dict[str, Attribute]:
    """Attributes by name; one that is null is not there."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("attributes are not an object of names and values")  # noqa: TRY004 - callers catch one kind
    found: dict[str, Attribute] = {}
    for name, given in value.items():
        if (problem := id_problem(name)) is not None:
            raise ValueError(f"the name of attribute {name[:40]!r} {problem}")
        if given is not None and not isinstance(given, str | int | float):
            raise ValueError(f"attribute {name!r} is neither text, a number, true nor false")
        if given is not None:
            found[name] = given
    return found


def _published(value: object) -> int:
    if value is None or value == "":
        return NO_TIME
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _moment(str(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LATEST_SECONDS:
        large = isinstance(value, int | float) and value >= MILLISECONDS_FROM
        hint = ", which looks like milliseconds" if large else ""
        raise ValueError(f"published_at {value!r} is not a time in Unix seconds before 2100{hint}")
    return int(value)


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or (moment.tzinfo is None and len(text) > len("2026-01-01")):
        raise ValueError(f"published_at {text!r} is none of Unix seconds, RFC 3339 with its offset, a date")
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if not abs(seconds) < LATEST_SECONDS:
        raise ValueError(f"published_at {text!r} is not a time before 2100")
    return int(seconds)
