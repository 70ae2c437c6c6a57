"""A log that lost files: it is refused, and nothing more is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recsvc.eventlog.compact import compact, compact_everything, sweep
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.manifest import MANIFEST_NAME, LogDamaged
from recsvc.eventlog.reader import snapshot
from tests.eventlog.partitions import NOBODY, NOON, PARTITION, logged, numbered, publish

NOW = NOON / 1000 + 60


@pytest.fixture
def log(tmp_path: Path) -> PartitionLog:
    """With two segments, and nothing kept of what they replaced."""
    log = PartitionLog(tmp_path, PARTITION)
    for first in (0, 6):
        for after in range(first, first + 6, 2):
            publish(log, after, after + 2)
        compact_everything(tmp_path, NOBODY)
        if not first:
            shutil.copy(log.directory / MANIFEST_NAME, tmp_path / "old.json")
    return log


def _refused_and_left_alone(log: PartitionLog) -> None:
    before = sorted(log.directory.glob("*.parquet"))
    for work in (lambda: compact(log, NOBODY, NOW), lambda: sweep(log, NOW), log.durable_end):
        with pytest.raises(LogDamaged, match="restore it from a back-up"):
            work()
    with pytest.raises(LogDamaged):
        snapshot(log.directory.parent)
    assert sorted(log.directory.glob("*.parquet")) == before


def test_lost_manifest_is_no_empty_log(log: PartitionLog, tmp_path: Path) -> None:
    manifest = (log.directory / MANIFEST_NAME).read_bytes()
    (log.directory / MANIFEST_NAME).unlink()

    _refused_and_left_alone(log)

    (log.directory / MANIFEST_NAME).write_bytes(manifest)
    assert logged(tmp_path) == numbered(1, 12)


def test_manifest_from_before_is_not_the_end_of_the_log(log: PartitionLog, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "old.json", log.directory / MANIFEST_NAME)

    _refused_and_left_alone(log)


def test_lost_segment_costs_no_other(log: PartitionLog) -> None:
    min(log.directory.glob("segment-*")).unlink()

    _refused_and_left_alone(log)


def test_lost_manifest_does_no_harm_while_what_was_merged_is_still_there(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, PARTITION)
    publish(log, 0, 2)
    publish(log, 2, 4)
    compact(log, NOBODY, NOW, whole=True)
    (log.directory / MANIFEST_NAME).unlink()

    compact(log, NOBODY, NOW)

    assert logged(tmp_path) == numbered(1, 4)


@pytest.mark.parametrize("generation", ["Infinity", "NaN", "1e999"])
def test_manifest_with_a_number_that_is_none_is_damaged(log: PartitionLog, generation: str) -> None:
    file = log.directory / MANIFEST_NAME
    lines = file.read_text().splitlines()
    file.write_text("\n".join(f' "generation": {generation},' if '"generation"' in line else line for line in lines))

    _refused_and_left_alone(log)
