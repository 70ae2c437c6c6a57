"""The published files themselves, where RECSVC_DATA_DIR has them: exact counts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recsvc.events.schema import TYPE_CODES
from tests.training.sources.reading import read
from training.sources.dataset import Dataset


def known(name: str, folder: str, rejects: Path) -> Dataset:
    data_dir = os.environ.get("RECSVC_DATA_DIR")
    if data_dir is None or not (Path(data_dir) / folder).is_dir():
        pytest.skip(f"needs the published files of {name} in $RECSVC_DATA_DIR/{folder}")
    dataset = read(name, rejects, data_dir=Path(data_dir), share=0.0)
    assert dataset.rejects.total == 0
    return dataset


def shape(dataset: Dataset) -> tuple[int, int, int]:
    """(events, users, items)."""
    return len(dataset.events), len(dataset.events.user_ids), len(dataset.events.item_ids)


def test_deskdrop(tmp_path: Path) -> None:
    dataset = known("deskdrop", "deskdrop", tmp_path)
    assert shape(dataset) == (72_312, 1_895, 2_987)
    assert dataset.events.has_time
    counts = np.bincount(dataset.events.types)
    assert counts[TYPE_CODES["view"]] == 61_086
    assert counts[TYPE_CODES["comment"]] == 1_611


def test_movielens_100k(tmp_path: Path) -> None:
    dataset = known("movielens-100k", "ml-100k", tmp_path)
    assert shape(dataset) == (100_000, 943, 1_682)
    assert dataset.items.titles[dataset.events.item_ids.index("50")] == "Star Wars (1977)"
    assert set(np.unique(dataset.events.values * 5).round(3)) == {1, 2, 3, 4, 5}


def test_movielens_1m(tmp_path: Path) -> None:
    dataset = known("movielens-1m", "ml-1m", tmp_path)
    assert shape(dataset) in {(1_000_209, 6_040, 3_883), (487_650, 2_999, 3_883)}
    assert all(dataset.items.titles)


def test_movielens_1m_ncf(tmp_path: Path) -> None:
    dataset = known("movielens-1m-ncf", "ml-1m", tmp_path)
    assert shape(dataset) == (1_000_209, 6_040, 3_706)
    assert dataset.given_test is not None
    assert dataset.given_test.sum() == 6_040
    assert dataset.candidates is not None
    assert dataset.candidates.items.shape == (6_040, 100)
    own = dataset.candidates.items[:, 1:] == dataset.candidates.items[:, :1]
    assert own.sum() == 156
    held_out = dataset.events.items[dataset.given_test]
    assert (
        (held_out[np.argsort(dataset.events.users[dataset.given_test])]).tolist()
        == dataset.candidates.items[np.argsort(dataset.candidates.users), 0].tolist()
    )


def test_gowalla(tmp_path: Path) -> None:
    dataset = known("gowalla", "gowalla", tmp_path)
    assert shape(dataset) == (810_128 + 217_242, 29_858, 40_981)
    assert dataset.given_test is not None
    assert dataset.given_test.sum() == 217_242


def test_movielens_1m_m2(tmp_path: Path) -> None:
    dataset = known("movielens-1m-m2", "ml-1m/ultragcn_m2", tmp_path)
    assert shape(dataset) == (796_244 + 99_455, 6_022, 3_043)
    assert dataset.given_test is not None
    assert dataset.given_test.sum() == 99_455


def test_goodbooks(tmp_path: Path) -> None:
    dataset = known("goodbooks", "goodbooks-10k", tmp_path)
    assert shape(dataset) == (981_756, 53_424, 10_000)
    assert all(dataset.items.titles)
    assert dataset.items.creators[dataset.events.item_ids.index("1")] == "Suzanne Collins"
    assert sum(map(bool, dataset.items.categories)) > 9_900
