"""The sample on disk, and through the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsvc.events.schema import EVENT_TYPES
from tests.training.sources.reading import read
from training.sample.files import EVENTS_FILE, ITEMS_FILE, TRUE_ITEMS_FILE, TRUE_USERS_FILE, is_current, write
from training.sources.known.sample import SEED


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sample"
    write(folder, SEED, truth=True)
    return folder


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "deep" / "sample"
    write(again, SEED, truth=True)
    names = {EVENTS_FILE, ITEMS_FILE, TRUE_USERS_FILE, TRUE_ITEMS_FILE}
    assert {path.name for path in again.iterdir()} == names
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["sample"]


def test_the_community_has_the_size_it_should(folder: Path) -> None:
    events = pq.read_table(folder / EVENTS_FILE)
    assert 250_000 <= events.num_rows <= 500_000
    assert pq.read_metadata(folder / ITEMS_FILE).num_rows == 3_000
    assert pq.read_metadata(folder / TRUE_USERS_FILE).num_rows == 2_000
    assert set(events.column("type").unique().to_pylist()) == set(EVENT_TYPES[:10])
    assert str(events.column("timestamp")[-1].as_py().date()) == "2026-10-31"


def test_the_reader_makes_the_sample_once_and_then_reads_it(tmp_path: Path) -> None:
    first = read("sample", tmp_path, data_dir=tmp_path / "data", share=0.0)
    made = (tmp_path / "data" / "sample" / EVENTS_FILE).stat()
    second = read("sample", tmp_path, data_dir=tmp_path / "data", share=0.0)
    assert (tmp_path / "data" / "sample" / EVENTS_FILE).stat().st_ino == made.st_ino
    assert first.fingerprint == second.fingerprint
    assert (len(first.events.user_ids), len(first.events.item_ids)) == (2_000, 3_000)
    assert first.events.has_time
    assert first.rejects.total == 0
    assert all(first.items.titles)
    assert all(first.items.creators)
    assert all(first.items.categories)
    assert (first.items.published_at < 1_793_491_200).all()
    assert np.nanmax(first.events.values) <= 1.0


def test_another_seed_or_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    write(folder, SEED + 1, truth=False)
    assert is_current(folder, SEED + 1)
    assert not is_current(folder, SEED)
    (folder / ITEMS_FILE).write_bytes(b"PAR1")
    assert not is_current(folder, SEED + 1)
    read("sample", tmp_path / "rejects", data_dir=tmp_path)
    assert is_current(folder, SEED)
