"""Splits published as a line per user, "user item item …": Gowalla (NGCF, LightGCN), MovieLens 1M (UltraGCN)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.types import Int32
from training.errors import DataInvalid
from training.sources.dataset import Dataset
from training.sources.files import read_bytes
from training.sources.known.ncf import pairs_checked
from training.sources.known.publication import Publication
from training.sources.request import Request

GOWALLA: Final = Publication(
    "gowalla",
    "gowalla",
    "https://snap.stanford.edu/data/loc-gowalla.html, and this split of it at "
    "https://github.com/kuandeng/LightGCN (Data/gowalla)",
)
M2: Final = Publication(
    "movielens-1m-m2",
    "ml-1m/ultragcn_m2",
    "https://github.com/xue-pai/UltraGCN (its data folder), as MovieLens1M_m2 at https://openbenchmark.github.io/BARS",
)


def read_gowalla(request: Request) -> Dataset:
    """Check-ins of Gowalla (BARS: Gowalla_m1); no times, values or titles."""
    return _read(GOWALLA, request)


def read_m2(request: Request) -> Dataset:
    """MovieLens 1M as BARS' MovieLens1M_m2; the split has ids of its own, so no titles either."""
    return _read(M2, request)


def _read(publication: Publication, request: Request) -> Dataset:
    """`train.txt` and `test.txt`, whose pairs are the `given_test` ones."""
    train = publication.require(request.data_dir, "train.txt")
    test = publication.require(request.data_dir, "test.txt")
    train_pairs = read_adjacency(train)
    pairs = np.concatenate([train_pairs, read_adjacency(test)])
    dataset = request.finish([train, test], pairs_checked(pairs))
    return replace(dataset, given_test=np.arange(len(pairs)) >= len(train_pairs))


def read_adjacency(path: Path) -> Int32:
    """The pairs of a file with a user and its items on each line; int32 (n, 2), in file order."""
    users: list[int] = []
    rows: list[Int32] = []
    for line, text in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            numbers = np.array(text.split(), dtype=np.int32)
        except (ValueError, OverflowError) as exc:
            raise DataInvalid(f"{path}, line {line}: not whole numbers ({exc}); fetch the file again") from exc
        if len(numbers) and numbers.min() < 0:
            raise DataInvalid(f"{path}, line {line}: a negative number; fetch the file again")
        if len(numbers) > 1:
            users.append(int(numbers[0]))
            rows.append(numbers[1:])
    if not rows:
        raise DataInvalid(f"{path}: no line has a user and an item; fetch the file again")
    user_column = np.repeat(np.array(users, dtype=np.int32), [len(row) for row in rows])
    return np.stack([user_column, np.concatenate(rows)], axis=1)
