"""Snapshots of the log, while others write and compact."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.parquet as pq

from recsvc.bundle.files import sha256_of
from recsvc.eventlog.compact import compact
from recsvc.eventlog.files import PartitionLog
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.reader import LogSnapshot, snapshot
from recsvc.eventlog.rows import table_of
from tests.eventlog.partitions import NOBODY, NOON, PARTITION, at, logged, numbered, publish


def test_there_is_no_log_yet(tmp_path: Path) -> None:
    assert snapshot(tmp_path / "events") == LogSnapshot([], {}, 0)


def test_ends_are_known_of_partitions_whose_rows_were_all_left_out(tmp_path: Path) -> None:
    publish(PartitionLog(tmp_path, PARTITION), 0, 4)
    PartitionLog(tmp_path, 9).publish(at(0), StreamId(77, 1), table_of(9, [], []))

    found = snapshot(tmp_path)

    assert found.ends == {PARTITION: at(4), 9: StreamId(77, 1)}
    assert found.rows == 4
    assert [path.parent.name for path in found.files] == [f"p{PARTITION:03d}"]


def test_compacted_files_come_with_their_checksums(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, PARTITION)
    publish(log, 0, 4)
    compact(log, NOBODY, NOON / 1000, whole=True)
    publish(log, 4, 8)

    found = snapshot(tmp_path)

    segment, _small = found.files
    assert found.checksums == {segment: sha256_of(segment)}


def test_readers_see_each_event_once_while_owners_publish_and_compact(tmp_path: Path) -> None:
    last = 150
    done = threading.Event()

    def own() -> None:
        log = PartitionLog(tmp_path, PARTITION)
        numbers = {at(number): number for number in range(last + 1)}
        while (number := numbers[log.durable_end()]) < last:
            publish(log, number, number + 1)

    def tidy() -> None:
        log = PartitionLog(tmp_path, PARTITION)
        while not done.is_set():
            compact(log, NOBODY, NOON / 1000, grace_seconds=3600)

    owners = [threading.Thread(target=own) for _ in range(2)]
    tidier = threading.Thread(target=tidy)
    for thread in (*owners, tidier):
        thread.start()
    seen = 0
    while any(owner.is_alive() for owner in owners):
        found = snapshot(tmp_path)
        ids = [name for file in found.files for name in pq.read_table(file)["event_id"].to_pylist()]
        assert ids == numbered(1, found.rows)
        assert seen <= found.rows
        seen = found.rows
    done.set()
    for thread in (*owners, tidier):
        thread.join()

    assert logged(tmp_path) == numbered(1, last)
    assert list(tmp_path.rglob("segment-*"))
