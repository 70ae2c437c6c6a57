"""MovieLens 100K and 1M: star ratings with their times, titles, years and genres (GroupLens)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
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

ML_100K: Final = Publication("movielens-100k", "ml-100k", "https://grouplens.org/datasets/movielens/100k/")
ML_1M: Final = Publication("movielens-1m", "ml-1m", "https://grouplens.org/datasets/movielens/1m/")
BEST_RATING: Final = 5.0
PARTIAL_1M: Final = "ratings_users_1-2999.dat"
_HEADER: Final = ["user_id", "item_id", "value", "timestamp"]
_GENRES_100K: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_YEAR: Final = re.compile(r"\((\d{4})\)\s*$")


def read_movielens_100k(request: Request) -> Dataset:
    """`u.data` and `u.item`: every rating a view whose value is rating / 5."""
    ratings = ML_100K.require(request.data_dir, "u.data")
    movies = ML_100K.require(request.data_dir, "u.item")
    return _read_ratings(request, ratings, movies, None, _movies_100k(movies))


def read_movielens_1m(request: Request) -> Dataset:
    """`ratings.dat` and `movies.dat`; `ratings_users_1-2999.dat`, a part of it, where the whole is not there."""
    ratings = ML_1M.require(request.data_dir, "ratings.dat", PARTIAL_1M)
    movies = ML_1M.require(request.data_dir, "movies.dat")
    if ratings.name.startswith(PARTIAL_1M):
        logging.getLogger(__name__).warning(
            "movielens-1m: ratings.dat is not there; reading %s, the ratings of users 1 to 2999 alone", ratings.name
        )
    return _read_ratings(request, ratings, movies, _tabs, movies_1m(movies))


def _tabs(content: bytes) -> bytes:
    return content.replace(b"::", b"\t")


def _read_ratings(
    request: Request,
    ratings: Path,
    movies: Path,
    prepare: Callable[[bytes], bytes] | None,
    records: list[ItemRecord],
) -> Dataset:
    columns = {name: name for name in _HEADER}
    raw = read_csv_events(ratings, columns, header=_HEADER, prepare=prepare)
    checked = request.check(concatenate(str(ratings), [raw]))
    checked = replace(checked, values=checked.values / np.float32(BEST_RATING))
    return request.finish([ratings, movies], checked, records)


def movies_1m(path: Path) -> list[ItemRecord]:
    """The movies of `movies.dat` (id::title (year)::genre|genre, Latin-1); published on the first day of the year."""
    records = []
    for line, text in enumerate(read_text(path, "latin-1").splitlines(), start=1):
        values = text.split("::")
        if len(values) != 3:
            raise DataInvalid(f"{path}, line {line}: not id::title::genres; fetch the file again")
        year = _YEAR.search(values[1])
        records.append(
            ItemRecord(
                item_id=values[0],
                title=values[1].strip(),
                categories=tuple(genre for genre in values[2].split("|") if genre),
                published_at=_first_day(int(year[1])) if year else NO_TIME,
            )
        )
    return records


def _movies_100k(path: Path) -> list[ItemRecord]:
    records = []
    for line, text in enumerate(read_text(path, "latin-1").splitlines(), start=1):
        values = text.split("|")
        if len(values) != 5 + len(_GENRES_100K):
            raise DataInvalid(f"{path}, line {line}: not the 24 values of u.item; fetch the file again")
        with as_published(path):
            published_at = _release(values[2])
        flagged = zip(_GENRES_100K, values[5:], strict=True)
        records.append(
            ItemRecord(
                item_id=values[0],
                title=values[1].strip(),
                categories=tuple(genre for genre, flag in flagged if flag == "1" and genre != "unknown"),
                published_at=published_at,
            )
        )
    return records


def _release(text: str) -> int:
    if not text:
        return NO_TIME
    return int(datetime.strptime(text, "%d-%b-%Y").replace(tzinfo=UTC).timestamp())


def _first_day(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
