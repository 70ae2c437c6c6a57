"""MovieLens 1M as split by He et al., "Neural Collaborative Filtering" (WWW 2017): leave one out, 99 negatives."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.csv

from recsvc.bundle.types import Int32, Int64
from recsvc.events.schema import TYPE_CODES
from training.errors import DataInvalid
from training.sources.catalogue import ItemRecord
from training.sources.check import Checked
from training.sources.dataset import Candidates, Dataset, Rejects
from training.sources.files import read_text
from training.sources.known.movielens import ML_1M, movies_1m
from training.sources.known.publication import Publication
from training.sources.request import Request

NCF: Final = Publication(
    "movielens-1m-ncf", "ml-1m", "https://github.com/hexiangnan/neural_collaborative_filtering (its Data folder)"
)
TRAIN_PAIRS: Final = "ncf_train_pairs.csv"
TRAIN_RATINGS: Final = "ml-1m.train.rating"
TEST_RATINGS: Final = "ml-1m.test.rating"
TEST_NEGATIVES: Final = "ml-1m.test.negative"
MOVIE_IDS: Final = "ncf_item_to_movie_id.csv"


def read_ncf(request: Request) -> Dataset:
    """The training pairs and each user's held-out item (`given_test`), and the item among its negatives.

    Item ids are those of MovieLens where `ncf_item_to_movie_id.csv` is there, else the split's own numbers. Times
    and ratings are left out throughout, since the training pairs have none. Negatives that equal the user's own
    held-out item, a quirk of the published file, stay.
    """
    train = NCF.require(request.data_dir, TRAIN_PAIRS, TRAIN_RATINGS)
    test = NCF.require(request.data_dir, TEST_RATINGS)
    negative = NCF.require(request.data_dir, TEST_NEGATIVES)
    train_pairs = read_pairs(train)
    test_pairs = read_pairs(test)
    tasks = _tasks(negative)
    files = [train, test, negative]
    count = 1 + int(max(train_pairs[:, 1].max(), test_pairs[:, 1].max(), tasks[:, 1:].max()))
    labels, records = _items(request.data_dir, count, files)
    pairs = np.concatenate([train_pairs, test_pairs]).astype(np.int32)
    dataset = request.finish(files, pairs_checked(pairs, labels), records)
    return replace(
        dataset,
        given_test=np.arange(len(pairs)) >= len(train_pairs),
        candidates=_candidates(dataset, tasks, labels),
    )


def pairs_checked(pairs: Int32, item_labels: list[str] | None = None) -> Checked:
    """User and item numbers, int32 (n, 2), as views without time or value; a user's id is its number."""
    users = int(pairs[:, 0].max()) + 1
    items = int(pairs[:, 1].max()) + 1
    return Checked(
        rows=np.arange(len(pairs), dtype=np.int64),
        users=np.ascontiguousarray(pairs[:, 0]),
        user_labels=[str(user) for user in range(users)],
        items=np.ascontiguousarray(pairs[:, 1]),
        item_labels=[str(item) for item in range(items)] if item_labels is None else item_labels,
        types=np.full(len(pairs), TYPE_CODES["view"], dtype=np.int8),
        timestamps=np.full(len(pairs), np.nan),
        values=np.full(len(pairs), np.nan, dtype=np.float32),
        rejects=Rejects(),
    )


def read_pairs(path: Path) -> Int64:
    """The first two whole numbers of every line (comma or tab, a header or none); int64 (n, 2)."""
    text = read_text(path)
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    skip = 0 if text[:1].isdigit() else 1
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            pyarrow.csv.ReadOptions(autogenerate_column_names=True, skip_rows=skip),
            pyarrow.csv.ParseOptions(delimiter=delimiter),
            pyarrow.csv.ConvertOptions(column_types={"f0": "int64", "f1": "int64"}, include_columns=["f0", "f1"]),
        )
        pairs: Int64 = np.column_stack([table["f0"].to_numpy(), table["f1"].to_numpy()])
    except (ValueError, KeyError) as exc:
        raise DataInvalid(f"{path}: not a user and an item number on every line ({exc}); fetch it again") from exc
    if pairs.dtype != np.int64:  # a missing number became a NaN
        raise DataInvalid(f"{path}: not a user and an item number on every line; fetch it again")
    return pairs


def _tasks(path: Path) -> Int64:
    """Every line "(user,item)\\tnegative\\tnegative…" as numbers; int64 (m, 2 + n_negatives)."""
    text = read_text(path).replace("(", "").replace(")", "").replace(",", "\t")
    try:
        return np.loadtxt(text.splitlines(), dtype=np.int64, delimiter="\t", ndmin=2)
    except ValueError as exc:
        raise DataInvalid(
            f'{path}: not "(user,item)" and as many negatives on every line ({exc}); fetch it again'
        ) from exc


def _items(data_dir: Path, count: int, files: list[Path]) -> tuple[list[str], list[ItemRecord]]:
    """The id of each of the split's item numbers, and their titles; adds the files it reads to `files`."""
    mapping = NCF.find(data_dir, MOVIE_IDS)
    if mapping is None:
        logging.getLogger(__name__).warning(
            "movielens-1m-ncf: %s is not there, so items keep the split's own numbers and have no titles", MOVIE_IDS
        )
        return [str(item) for item in range(count)], []
    files.append(mapping)
    movie_of = {int(item): str(movie) for item, movie in read_pairs(mapping).tolist()}
    unmapped = [item for item in range(count) if item not in movie_of]
    if unmapped:
        raise DataInvalid(f"{mapping}: has no movie id for item {unmapped[0]}; fetch it again, or remove it")
    movies = ML_1M.find(data_dir, "movies.dat")
    if movies is None:
        return [movie_of[item] for item in range(count)], []
    files.append(movies)
    # The other movies of MovieLens are no part of this benchmark.
    used = set(movie_of.values())
    return [movie_of[item] for item in range(count)], [m for m in movies_1m(movies) if m.item_id in used]


def _candidates(dataset: Dataset, tasks: Int64, labels: list[str]) -> Candidates:
    user_row = {user_id: row for row, user_id in enumerate(dataset.events.user_ids)}
    item_row = {item_id: row for row, item_id in enumerate(dataset.events.item_ids)}
    users = np.array([user_row[str(user)] for user in tasks[:, 0].tolist()], dtype=np.int32)
    row_of: npt.NDArray[np.int32] = np.array([item_row.get(label, -1) for label in labels], dtype=np.int32)
    items = row_of[tasks[:, 1:]]
    if (items < 0).any():
        row, column = np.argwhere(items < 0)[0].tolist()
        raise DataInvalid(
            f"{TEST_NEGATIVES}, line {row + 1}: item {tasks[row, column + 1]} is in neither the training nor the test "
            "part; fetch the three files again, from one place"
        )
    return Candidates(users=users, items=items)
