"""Deskdrop: a year of an article-sharing community inside a company (CI&T, 2016-2017)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from training.sources.catalogue import ItemRecord
from training.sources.dataset import Dataset
from training.sources.delimited import read_csv_events
from training.sources.files import read_bytes, utf8_content
from training.sources.known.publication import Publication, as_published
from training.sources.raw import concatenate
from training.sources.request import Request

DESKDROP: Final = Publication(
    "deskdrop",
    "deskdrop",
    "https://www.kaggle.com/datasets/gspmoreira/articles-sharing-reading-from-cit-deskdrop",
)
_COLUMNS: Final = {"user_id": "personId", "item_id": "contentId", "type": "eventType", "timestamp": "timestamp"}
_TYPES: Final = {
    "VIEW": "view",
    "LIKE": "like",
    "COMMENT CREATED": "comment",
    "BOOKMARK": "save",
    "FOLLOW": "follow",
}

_ARTICLE_COLUMNS: Final = ["timestamp", "eventType", "contentId", "authorPersonId", "title"]


def read_deskdrop(request: Request) -> Dataset:
    """`users_interactions.csv`, and titles, authors and times from `shared_articles.csv` where that is there too."""
    path = DESKDROP.require(request.data_dir, "users_interactions.csv")
    raw = read_csv_events(path, _COLUMNS)
    raw = replace(raw, columns={**raw.columns, "type": _our_types(raw.columns["type"])})
    checked = request.check(concatenate(str(path), [raw]))
    articles = DESKDROP.find(request.data_dir, "shared_articles.csv")
    files = [path] if articles is None else [path, articles]
    return request.finish(files, checked, [] if articles is None else _articles(articles))


def _our_types(column: Any) -> Any:
    """The published names as ours; a name that is not published stays, and fails the check."""
    encoded = column.combine_chunks().dictionary_encode()
    names = pa.array([_TYPES.get(name, name) for name in encoded.dictionary.to_pylist()], type=pa.string())
    return pa.chunked_array([pc.take(names, encoded.indices)])


def _articles(path: Path) -> list[ItemRecord]:
    """The articles as they were first shared. Their texts span lines and are longer than Python's CSV reader takes."""
    with as_published(path):
        table = arrow_csv.read_csv(
            pa.BufferReader(utf8_content(path, read_bytes(path))),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=_ARTICLE_COLUMNS, column_types=dict.fromkeys(_ARTICLE_COLUMNS, pa.string())
            ),
        )
        records: dict[str, ItemRecord] = {}
        for row in table.to_pylist():
            if row["eventType"] == "CONTENT SHARED":
                record = ItemRecord(
                    item_id=row["contentId"],
                    title=" ".join(row["title"].split()),
                    creator=row["authorPersonId"],
                    published_at=int(row["timestamp"]),
                )
                records.setdefault(record.item_id, record)
    return list(records.values())
