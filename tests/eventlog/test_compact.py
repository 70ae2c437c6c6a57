"""Compaction: fewer files, the same rows, and erased users gone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recsvc.eventlog.compact import GRACE_SECONDS, Compacted, compact, compact_everything, sweep
from recsvc.eventlog.files import LogFile, PartitionLog, tail_name
from recsvc.eventlog.manifest import LogDamaged, read_manifest
from recsvc.eventlog.plan import SEGMENT_BYTES, groups_to_merge
from recsvc.eventlog.rows import SCHEMA
from recsvc.eventlog.tombstones import Tombstones
from tests.eventlog.partitions import (
    NOBODY,
    NOON,
    PARTITION,
    USERS,
    at,
    erased,
    logged,
    numbered,
    publish,
    rows,
    users_on_disk,
)

NOW = NOON / 1000 + 60


@pytest.fixture
def log(tmp_path: Path) -> PartitionLog:
    return PartitionLog(tmp_path, PARTITION)


def _publish_many(log: PartitionLog, count: int, after: int = 0) -> int:
    for number in range(count):
        publish(log, after + 2 * number, after + 2 * number + 2)
    return after + 2 * count


def test_few_small_files_are_left_alone(log: PartitionLog) -> None:
    _publish_many(log, 15)

    assert compact(log, NOBODY, NOW) == Compacted()


def test_many_small_files_become_one_segment(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)

    assert compact(log, NOBODY, NOW) == Compacted(files=16, segments=1)
    assert [file.is_segment for file in log.chain()] == [True]
    assert log.end() == at(last)
    assert logged(tmp_path) == numbered(1, last)


def test_files_of_the_release_before_are_merged_with_those_of_this_one(log: PartitionLog, tmp_path: Path) -> None:
    """Before 0.4 rows had no word of experiments."""
    added = ["experiments", "position", "source", "team", "propensity"]
    numbers = range(1, 17)
    for number in numbers:
        whole = rows(number, number)
        path = log.directory / tail_name(at(number - 1))
        if number % 2:
            path.parent.mkdir(parents=True, exist_ok=True)
            old = whole.drop_columns(added)
            place = {"partition": str(PARTITION), "after": str(at(number - 1)), "last": str(at(number))}
            with pq.ParquetWriter(path, old.schema, store_schema=False) as writer:
                writer.add_key_value_metadata(place)
                writer.write_table(old)
        else:
            assert publish(log, number - 1, number)
    compact(log, NOBODY, NOW)
    (file,) = log.chain()
    table = pq.read_table(file.path)
    assert table["event_id"].to_pylist() == numbered(1, 16)
    assert table.schema.names == SCHEMA.names
    assert logged(tmp_path) == numbered(1, 16)


def test_log_goes_on_after_its_segments(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)
    publish(log, last, last + 3)

    assert logged(tmp_path) == numbered(1, last + 3)


def test_two_files_are_merged_after_a_day(log: PartitionLog) -> None:
    _publish_many(log, 2)

    assert compact(log, NOBODY, NOW + 86_400) == Compacted(files=2, segments=1)


def test_replaced_files_stay_for_their_readers_and_go_after_the_grace(log: PartitionLog) -> None:
    _publish_many(log, 16)
    before = [file.path for file in log.chain()]
    compact(log, NOBODY, NOW)

    compact(log, NOBODY, NOW + GRACE_SECONDS - 1)
    assert all(path.exists() for path in before)

    assert compact(log, NOBODY, NOW + GRACE_SECONDS + 1) == Compacted(removed=16)
    assert not any(path.exists() for path in before)
    assert read_manifest(log.directory).retired == ()


def test_segments_of_one_size_are_merged_eight_at_a_time(log: PartitionLog, tmp_path: Path) -> None:
    last = 0
    segments = []
    for _ in range(9):
        last = _publish_many(log, 16, last)
        compact(log, NOBODY, NOW)
        segments.append(len(read_manifest(log.directory).segments))

    assert segments == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert logged(tmp_path) == numbered(1, last)


def test_full_segments_are_never_merged_again() -> None:
    full = [LogFile(Path(f"s{n}"), at(n), at(n + 1), 1, SEGMENT_BYTES, is_segment=True) for n in range(1, 20)]
    tail = [LogFile(Path("t"), at(20), at(21), 1, SEGMENT_BYTES, is_segment=False)]

    assert groups_to_merge(full + tail, NOW, whole=True) == [tail]


def test_large_tail_is_divided() -> None:
    tail = [LogFile(Path(f"t{n}"), at(n), at(n + 1), 1, SEGMENT_BYTES // 3 + 1, is_segment=False) for n in range(20)]

    assert [len(group) for group in groups_to_merge(tail, NOW)] == [2] * 10


def test_erased_rows_are_dropped_from_what_is_merged(log: PartitionLog, tmp_path: Path) -> None:
    _publish_many(log, 16)

    done = compact(log, Tombstones([erased(USERS[1], 20)]), NOW)

    gone = {f"e{number}" for number in range(1, 21) if number % 4 == 1}
    assert logged(tmp_path) == [name for name in numbered(1, 32) if name not in gone]
    assert done == Compacted(files=16, segments=1, rows_erased=len(gone))


def test_segments_written_before_the_erasure_are_written_anew(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)
    publish(log, last, last + 8)
    tombstones = Tombstones([erased(user, last + 8) for user in USERS[:2]])

    compact(log, tombstones, NOW)

    assert {name for file in log.chain() for name in pq.read_table(file.path)["user_id"].to_pylist()} == set(USERS[2:])
    assert log.end() == at(last + 8)
    compact(log, tombstones, NOW + GRACE_SECONDS + 1)
    assert users_on_disk(tmp_path) == set(USERS[2:])


def test_log_is_searched_once_for_the_same_erasures(log: PartitionLog) -> None:
    _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], 5)])
    compact(log, tombstones, NOW)
    generation = read_manifest(log.directory).generation

    assert compact(log, tombstones, NOW) == Compacted()
    assert read_manifest(log.directory).generation == generation


def test_second_erasure_of_a_user_is_searched_for(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], 5)])
    compact(log, tombstones, NOW)
    tombstones.add(erased(USERS[0], last, erased_at=NOW + 100))

    compact(log, tombstones, NOW)

    assert USERS[0] not in {name for file in log.chain() for name in pq.read_table(file.path)["user_id"].to_pylist()}


def test_rows_published_after_the_search_are_found(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], last + 4)])
    compact(log, tombstones, NOW)
    publish(log, last, last + 4)  # by a worker that knew of no erasure

    compact(log, tombstones, NOW)

    assert len(logged(tmp_path)) == (last + 4) * 3 // 4


def test_rows_merged_by_one_who_knew_of_no_erasure_are_found(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], 2 * last)])
    compact(log, tombstones, NOW)
    _publish_many(log, 16, last)
    compact(log, NOBODY, NOW, erase=False)

    compact(log, tombstones, NOW)

    assert len(logged(tmp_path)) == 2 * last * 3 // 4


def test_erasure_that_is_older_than_the_latest_applied_is_searched_for(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], last)])
    compact(log, tombstones, NOW)
    tombstones.add(erased(USERS[1], last, erased_at=1_790_000_100.0 - 7200))

    compact(log, tombstones, NOW)

    assert len(logged(tmp_path)) == last // 2


def test_second_erasure_counts_though_the_clock_was_set_back(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    tombstones = Tombstones([erased(USERS[0], 5)])
    compact(log, tombstones, NOW)
    tombstones.add(erased(USERS[0], last, erased_at=1_790_000_100.0 - 7200))

    compact(log, tombstones, NOW)

    assert len(logged(tmp_path)) == last * 3 // 4


def test_segment_that_loses_every_row_still_holds_its_place(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)

    compact(log, Tombstones([erased(user, last) for user in USERS]), NOW)

    assert logged(tmp_path) == []
    assert log.end() == at(last)


def test_compacting_everything_leaves_no_trace_of_the_erased(log: PartitionLog, tmp_path: Path) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)
    publish(log, last, last + 8)

    compact_everything(tmp_path, Tombstones([erased(USERS[3], last + 8)]))

    assert users_on_disk(tmp_path) == set(USERS[:3])


def test_one_compaction_at_a_time(log: PartitionLog) -> None:
    _publish_many(log, 16)
    with (log.directory / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert compact(log, NOBODY, NOW) is None
        assert sweep(log, NOW) is None


def test_damaged_segment_is_not_rewritten(log: PartitionLog) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)
    (segment,) = log.directory.glob("segment-*")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)

    with pytest.raises(LogDamaged, match=segment.name):
        compact(log, Tombstones([erased(user, last) for user in USERS]), NOW)


def test_damaged_segment_is_not_searched_for_the_erased(log: PartitionLog) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW)
    (segment,) = log.directory.glob("segment-*")
    segment.write_bytes(segment.read_bytes()[:-1] + b"X")

    with pytest.raises(LogDamaged, match="checksum"):
        compact(log, Tombstones([erased("nobody-there", last)]), NOW)


def test_left_overs_of_crashes_are_removed(log: PartitionLog) -> None:
    last = _publish_many(log, 16)
    compact(log, NOBODY, NOW, grace_seconds=0)
    sweep(log, NOW, grace_seconds=0)
    (name,) = (path.name for path in log.directory.glob("segment-*"))
    orphan = log.directory / name.replace("-000001.", "-000009.")
    late = log.directory / tail_name(at(2))
    old, fresh = (log.directory / f".{tail_name(at(last))}.{n}.tmp" for n in (1, 2))
    for path in (orphan, late, old, fresh):
        path.write_bytes(b"")
    os.utime(old, (NOW - 700, NOW - 700))
    os.utime(fresh, (NOW - 10, NOW - 10))

    assert sweep(log, NOW) == Compacted(removed=3)
    assert fresh.exists()
