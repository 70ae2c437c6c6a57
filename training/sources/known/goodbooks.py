"""goodbooks-10k: star ratings of ten thousand books, with titles, authors, years and readers' tags."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.types import NO_TIME
from training.errors import DataInvalid
from training.sources.catalogue import ItemRecord
from training.sources.dataset import Dataset
from training.sources.delimited import read_csv_events
from training.sources.files import read_text
from training.sources.known.publication import Publication, as_published
from training.sources.raw import concatenate
from training.sources.request import Request

GOODBOOKS: Final = Publication("goodbooks", "goodbooks-10k", "https://github.com/zygmuntz/goodbooks-10k")
BEST_RATING: Final = 5.0
CATEGORIES_PER_BOOK: Final = 3
GENRES: Final = frozenset({
    "fantasy", "science-fiction", "mystery", "thriller", "romance", "horror", "crime",
    "historical-fiction", "contemporary", "young-adult", "children", "classics", "poetry", "plays",
    "short-stories", "graphic-novels", "manga", "comics", "biography", "memoir", "history",
    "philosophy", "psychology", "science", "religion", "politics", "business", "self-help",
    "travel", "food", "art", "humor", "paranormal", "dystopian", "adventure",
    "urban-fantasy", "chick-lit", "literary-fiction", "true-crime", "spirituality", "war", "vampires",
    "sports", "music",
})  # fmt: skip
"""Tags that are genres; most of the others are shelves ("to-read", "owned-books")."""


def read_goodbooks(request: Request) -> Dataset:
    """`ratings.csv` and `books.csv`, genres from `book_tags.csv` and `tags.csv` where those are there.

    Every rating is a view whose value is rating / 5. The item id is the book's number from 1 to 10,000 in both of
    the published releases.
    """
    ratings = GOODBOOKS.require(request.data_dir, "v1_ratings.csv", "ratings.csv")
    books = GOODBOOKS.require(request.data_dir, "books.csv")
    tags = GOODBOOKS.find(request.data_dir, "tags.csv")
    book_tags = GOODBOOKS.find(request.data_dir, "book_tags.csv")
    raw = read_csv_events(ratings, {"user_id": "user_id", "item_id": "book_id", "value": "rating"})
    checked = request.check(concatenate(str(ratings), [raw]))
    checked = replace(checked, values=checked.values / np.float32(BEST_RATING))
    genres = {} if tags is None or book_tags is None else _genres(tags, book_tags)
    files = [ratings, books, *(path for path in (tags, book_tags) if path is not None)]
    return request.finish(files, checked, _books(books, genres))


def _books(path: Path, genres: dict[str, tuple[str, ...]]) -> list[ItemRecord]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="")
    names = reader.fieldnames or []
    # The first release calls the number `id` and Goodreads' own id `book_id`; the second renamed both.
    number, goodreads = ("id", "book_id") if "id" in names else ("book_id", "goodreads_book_id")
    needed = (number, goodreads, "title", "authors", "original_publication_year")
    absent = [name for name in needed if name not in names]
    if absent:
        raise DataInvalid(f"{path}: there is no column {absent[0]!r}; it has: {', '.join(names)}; fetch it again")
    with as_published(path):
        return [
            ItemRecord(
                item_id=row[number],
                title=" ".join(row["title"].split()),
                creator=row["authors"].split(",")[0].strip(),
                categories=genres.get(row[goodreads], ()),
                published_at=_first_day(row["original_publication_year"]),
            )
            for row in reader
        ]


def _first_day(year: str) -> int:
    """Unix seconds of the year's first day; years before our era are not known to RFC 3339."""
    number = int(float(year)) if year else 0
    return int(datetime(number, 1, 1, tzinfo=UTC).timestamp()) if number >= 1 else NO_TIME


def _genres(tags: Path, book_tags: Path) -> dict[str, tuple[str, ...]]:
    """Goodreads' book id → the genres that most readers gave it, at most three, the commonest first."""
    with as_published(tags):
        names = {
            row["tag_id"]: row["tag_name"]
            for row in csv.DictReader(io.StringIO(read_text(tags), newline=""))
            if row["tag_name"] in GENRES
        }
    votes: dict[str, dict[str, int]] = defaultdict(dict)
    with as_published(book_tags):
        for book, tag, count in csv.reader(io.StringIO(read_text(book_tags), newline="")):
            if tag in names:
                votes[book][names[tag]] = int(count)
    return {
        book: tuple(sorted(given, key=lambda name: (-given[name], name))[:CATEGORIES_PER_BOOK])
        for book, given in votes.items()
    }
