"""Large Parquet sources are read in chunks, and what comes out is what reading them whole gives."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones
from training.errors import DataInvalid
from training.sources import chunks
from training.sources.chunks import chunks_of
from training.sources.dataset import Dataset
from training.sources.load import load

N = 500


def _table(seed: int, n: int = N) -> pa.Table:
    rng = np.random.default_rng(seed)
    types = rng.choice(["view", "like", "skip", "no such type"], size=n, p=[0.6, 0.3, 0.09, 0.01])
    return pa.table(
        {
            "user_id": [f"ü{i}" for i in rng.integers(0, 60, n)],
            "item_id": [f"v{i}" if i else None for i in rng.integers(0, 80, n)],
            "type": types,
            "timestamp": pa.array(1_780_000_000 + rng.integers(0, 10**6, n)),
            "value": pa.array(np.where(rng.random(n) < 0.5, rng.random(n), np.nan), from_pandas=True),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "events"
    path.mkdir()
    for seed in range(3):
        pq.write_table(_table(seed), path / f"part-{seed}.parquet", row_group_size=130)
    return path


def _load(path: Path, rejects: str, *, chunk_rows: int, state_dir: Path | None = None, share: float = 0.1) -> Dataset:
    with patch.object(chunks, "CHUNK_ROWS", chunk_rows):
        return load(
            str(path),
            data_dir=path,
            columns={},
            catalogue=None,
            max_reject_share=share,
            rejects_path=path.parent / rejects,
            state_dir=state_dir,
        )


@pytest.mark.parametrize("erased", [False, True])
def test_chunks_give_what_the_whole_gives(folder: Path, tmp_path: Path, erased: bool) -> None:
    state_dir = None
    if erased:
        state_dir = tmp_path / "state"
        state_dir.mkdir()
        write_tombstones(state_dir, Tombstones([Tombstone(digest_of("ü7"), BEGINNING, 1_790_000_000.0)]))
    whole = _load(folder, "whole.csv", chunk_rows=10**6, state_dir=state_dir)
    parts = _load(folder, "parts.csv", chunk_rows=97, state_dir=state_dir)
    assert (parts.events.user_ids, parts.events.item_ids) == (whole.events.user_ids, whole.events.item_ids)
    for name in ("users", "items", "types", "timestamps", "values"):
        np.testing.assert_array_equal(getattr(parts.events, name), getattr(whole.events, name), err_msg=name)
    assert parts.fingerprint == whole.fingerprint
    assert parts.rejects.by_reason == whole.rejects.by_reason
    assert parts.rejects.total > 0
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert parts.erased == whole.erased
    assert (parts.erased > 0) == erased


def test_too_many_bad_rows_in_all_chunks_together_stop_the_run_with_the_same_words(folder: Path) -> None:
    said = []
    for rows in (10**6, 97):
        with pytest.raises(DataInvalid) as caught:
            _load(folder, "rejects.csv", chunk_rows=rows, share=0.001)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_damaged_part_is_named(folder: Path) -> None:
    damaged = folder / "part-1.parquet"
    content = bytearray(damaged.read_bytes())
    content[100:1500] = b"\xff" * 1400
    damaged.write_bytes(content)
    with pytest.raises(DataInvalid, match=r"part-1\.parquet: not a complete Parquet file"):
        _load(folder, "rejects.csv", chunk_rows=97)


@pytest.mark.parametrize(
    ("name", "column"),
    [("event_id", pa.array(["e"] * N)), ("timestamp", pa.nulls(N, pa.int64()))],
    ids=["event ids", "an empty column"],
)
def test_what_needs_a_look_at_everything_is_read_whole(tmp_path: Path, name: str, column: pa.Array) -> None:
    path = tmp_path / "events.parquet"
    table = _table(0).drop_columns([name] if name in _table(0).column_names else [])
    pq.write_table(table.append_column(name, column), path)
    with patch.object(chunks, "CHUNK_ROWS", 97):
        assert chunks_of(path, {}) is None


def test_parts_that_differ_in_their_columns_are_read_whole(folder: Path) -> None:
    pq.write_table(_table(9).drop_columns(["value"]), folder / "part-9.parquet")
    with patch.object(chunks, "CHUNK_ROWS", 97):
        assert chunks_of(folder, {}) is None
