"""Batch lists are the service's lists; a run that was stopped goes on; who was erased is not in them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle, UserRow
from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from recsvc.serving.candidates import Source
from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel
from recsvc.serving.sources import for_user
from tests.builders import AS_OF, BLEND, make_bundle, publish_bundle
from tests.training.command import environment, training, words
from training.batch.run import run_batch
from training.errors import ConfigInvalid
from training.progress import Progress

QUIET = Progress(quiet=True)
LIMIT = 10


@pytest.fixture(scope="module", params=["als", "blend"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    blend = BLEND if request.param == "blend" else None
    return make_bundle(
        tmp_path_factory.mktemp("models"), kind=request.param, blend=blend, n_users=90, has_content=False
    )


def _rows(folder: Path) -> dict[str, dict[str, object]]:
    tables = [pq.read_table(path) for path in sorted(folder.glob("part-*.parquet"))]
    return {row["user_id"]: row for table in tables for row in table.to_pylist()}


def test_the_lists_are_those_of_the_service(bundle: Bundle, tmp_path: Path) -> None:
    assert run_batch(bundle, tmp_path, LIMIT, Tombstones(), QUIET, part_users=40) == 90
    rows = _rows(tmp_path)
    assert list(rows) == list(bundle.users)
    model = ServedModel(bundle)
    for row in range(90):
        items, confidence = bundle.interactions.of(UserRow(row))
        known = Knowledge(UserRow(row), items, confidence, np.zeros(len(items), dtype=np.bool_), items)
        if not known.has_positive:
            continue
        served = for_user(model, known, (), LIMIT, AS_OF + 1e7)
        chosen = np.isin(served.sources, [Source.ALS, Source.NEIGHBOURS]) | (bundle.manifest.blend is not None)
        listed = rows[bundle.users[row]]
        expected = [bundle.items[int(item)] for item in served.rows[chosen][:LIMIT]]
        assert listed["items"][: len(expected)] == expected
        np.testing.assert_allclose(listed["scores"][: len(expected)], served.scores[chosen][:LIMIT], rtol=1e-4)


def test_no_list_is_short_and_none_has_a_seen_item(bundle: Bundle, tmp_path: Path) -> None:
    run_batch(bundle, tmp_path, 295, Tombstones(), QUIET)
    for row, listed in enumerate(_rows(tmp_path).values()):
        seen = {bundle.items[int(item)] for item in bundle.interactions.of(UserRow(row))[0]}
        assert len(set(listed["items"])) == len(listed["items"]) == min(295, 300 - len(seen))
        assert not seen & set(listed["items"])


def test_a_run_goes_on_where_it_was_stopped(bundle: Bundle, tmp_path: Path) -> None:
    run_batch(bundle, tmp_path, LIMIT, Tombstones(), QUIET, part_users=30)
    whole = _rows(tmp_path)
    kept = tmp_path / "part-00000.parquet"
    before = kept.stat().st_mtime_ns
    (tmp_path / "part-00001.parquet").unlink()
    (tmp_path / ".part-00001.parquet.1.tmp").write_bytes(b"half of one")
    assert run_batch(bundle, tmp_path, LIMIT, Tombstones(), QUIET, part_users=30) == 30
    assert _rows(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_who_was_erased_since_has_no_list_and_loses_the_one_there_was(bundle: Bundle, tmp_path: Path) -> None:
    run_batch(bundle, tmp_path, LIMIT, Tombstones(), QUIET, part_users=30)
    erased = Tombstones([Tombstone(digest_of("u031"), BEGINNING, time.time())])
    assert run_batch(bundle, tmp_path, LIMIT, erased, QUIET, part_users=30) == 30
    assert set(bundle.users) - set(_rows(tmp_path)) == {"u031"}


@pytest.mark.parametrize("other", ["version", "limit"])
def test_lists_of_two_runs_do_not_mix(bundle: Bundle, tmp_path: Path, other: str) -> None:
    run_batch(bundle, tmp_path, LIMIT, Tombstones(), QUIET, part_users=30)
    (tmp_path / "part-00002.parquet").unlink()
    again = make_bundle(tmp_path / "models", n_users=90, has_content=False) if other == "version" else bundle
    with pytest.raises(ConfigInvalid, match=f"part-00000.parquet is of {bundle.version}"):
        run_batch(again, tmp_path, LIMIT + (other == "limit"), Tombstones(), QUIET, part_users=30)


def test_a_killed_command_leaves_whole_parts_and_is_taken_up(tmp_path: Path) -> None:
    version = publish_bundle(tmp_path / "models", n_users=60_000, n_items=400, has_content=False)
    out = tmp_path / "out"
    command = words("batch", "--version", version, "--limit", "5", "--out", str(out))
    process = subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(out.glob("part-*.parquet"))
    said = training(tmp_path, "batch", "--version", version, "--limit", "5", "--out", str(out))
    assert "60,000 users written" not in said
    assert sum(pq.read_metadata(path).num_rows for path in out.glob("part-*.parquet")) == 60_000
    assert len(open_bundle(tmp_path / "models" / version, None).users) == len(_rows(out))
