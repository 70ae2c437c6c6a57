"""The chain of files of a partition."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.eventlog.compact import compact
from recsvc.eventlog.files import PartitionLog, after_of, tail_name
from recsvc.eventlog.manifest import MANIFEST_NAME, LogDamaged
from recsvc.eventlog.position import BEGINNING, StreamId
from recsvc.eventlog.rows import table_of
from tests.eventlog.partitions import NOBODY, NOON, PARTITION, at, logged, numbered, publish, rows


@pytest.fixture
def log(tmp_path: Path) -> PartitionLog:
    return PartitionLog(tmp_path, PARTITION)


def test_nothing_was_written_to_a_log_without_a_directory(log: PartitionLog) -> None:
    assert log.end() == log.durable_end() == BEGINNING


def test_files_join_up_to_a_log(log: PartitionLog, tmp_path: Path) -> None:
    assert publish(log, 0, 4)
    assert publish(log, 4, 5)

    assert log.end() == log.durable_end() == at(5)
    assert logged(tmp_path) == numbered(1, 5)


def test_second_owner_at_the_same_place_is_told_so_and_changes_nothing(log: PartitionLog, tmp_path: Path) -> None:
    other = PartitionLog(tmp_path, PARTITION)
    publish(log, 0, 4)

    assert not publish(other, 0, 7)
    assert other.end() == at(4)
    assert logged(tmp_path) == numbered(1, 4)
    assert [path.name for path in log.directory.iterdir()] == [tail_name(BEGINNING)]


def test_file_without_rows_moves_the_end(log: PartitionLog, tmp_path: Path) -> None:
    publish(log, 0, 2)

    assert log.publish(at(2), at(6), table_of(PARTITION, [], []))
    assert log.end() == at(6)
    assert logged(tmp_path) == numbered(1, 2)


def test_late_file_of_a_stalled_owner_is_ignored_after_compaction(log: PartitionLog, tmp_path: Path) -> None:
    stalled = PartitionLog(tmp_path, PARTITION)
    publish(log, 0, 4)
    publish(log, 4, 9)
    compact(log, NOBODY, NOON / 1000, whole=True, grace_seconds=0)
    compact(log, NOBODY, NOON / 1000, grace_seconds=0)

    assert publish(stalled, 4, 7), "its name is free again"
    assert stalled.durable_end() == at(9)
    assert logged(tmp_path) == numbered(1, 9)


def test_missing_file_is_named(log: PartitionLog) -> None:
    for after in (0, 4, 8):
        publish(log, after, after + 4)
    (log.directory / tail_name(at(4))).unlink()

    with pytest.raises(LogDamaged, match=tail_name(at(4))):
        PartitionLog(log.directory.parent, PARTITION).end()


def test_unreadable_file_is_named(log: PartitionLog) -> None:
    publish(log, 0, 4)
    (log.directory / tail_name(BEGINNING)).write_bytes(b"no Parquet")

    with pytest.raises(LogDamaged, match=tail_name(BEGINNING)):
        PartitionLog(log.directory.parent, PARTITION).end()


def test_missing_segment_is_named(log: PartitionLog) -> None:
    publish(log, 0, 4)
    compact(log, NOBODY, NOON / 1000, whole=True)
    (segment,) = log.directory.glob("segment-*")
    segment.unlink()

    with pytest.raises(LogDamaged, match=segment.name):
        log.end()


@pytest.mark.parametrize("content", ["{", "{}", '{"format": 2}', "[]"])
def test_damaged_manifest_is_named(log: PartitionLog, content: str) -> None:
    publish(log, 0, 4)
    (log.directory / MANIFEST_NAME).write_text(content)

    with pytest.raises(LogDamaged, match=MANIFEST_NAME):
        log.end()


def test_file_reaching_backwards_is_refused(log: PartitionLog) -> None:
    with pytest.raises(ValueError, match="cannot reach"):
        log.publish(at(4), at(4), rows(4, 4))


def test_names_hold_any_sequence_number() -> None:
    long = StreamId(NOON, 12_345_678)

    assert after_of(tail_name(long)) == long
    assert after_of("segment-1-2.parquet") is None


def test_other_files_in_the_directory_are_none_of_the_log(log: PartitionLog, tmp_path: Path) -> None:
    publish(log, 0, 4)
    (log.directory / "notes.txt").write_text("x")
    (log.directory / f".{tail_name(at(4))}.1.tmp").write_text("x")

    assert logged(tmp_path) == numbered(1, 4)
