"""Compaction: many small files become few large ones, and the rows of erased users go."""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.bundle.files import flush_directory, sha256_of
from recsvc.eventlog.files import LogFile, PartitionLog, after_of, last_of_segment, parquet_writer, partitions_in
from recsvc.eventlog.manifest import LogDamaged, LogManifest, Retired, Segment, read_manifest, write_manifest
from recsvc.eventlog.plan import groups_to_merge
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.rows import ERASURE_COLUMNS, conformed, erased_rows, without_erased
from recsvc.eventlog.tombstones import Tombstones

GRACE_SECONDS: Final = 1800.0
"""How long a replaced file stays for those who read it, a training run say."""

_ROW_GROUP_ROWS: Final = 65_536
_ABANDONED_SECONDS: Final = 600.0
_PAUSE_SECONDS: Final = 0.05
_LOCK_NAME: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did: files read, segments written, rows forgotten, replaced files removed."""

    files: int = 0
    segments: int = 0
    rows_erased: int = 0
    removed: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(
            self.files + other.files,
            self.segments + other.segments,
            self.rows_erased + other.rows_erased,
            self.removed + other.removed,
        )


def compact_everything(root: Path, tombstones: Tombstones, *, grace_seconds: float = 0.0) -> Compacted:
    """Compacts every partition whether it is due or not, and removes what was replaced; waits for other compactions.

    Afterwards no file holds a row of a user erased by `tombstones`, but for what another process writes or compacts at
    this very moment. Raises `LogDamaged`, or OSError.
    """
    done = Compacted()
    for partition in partitions_in(root):
        log = PartitionLog(root, partition)
        while (merged := compact(log, tombstones, time.time(), whole=True, grace_seconds=grace_seconds)) is None:
            time.sleep(_PAUSE_SECONDS)
        done += merged + (sweep(log, time.time(), grace_seconds=grace_seconds) or Compacted())
    return done


def compact(
    log: PartitionLog,
    tombstones: Tombstones,
    now: float,
    *,
    whole: bool = False,
    erase: bool = True,
    grace_seconds: float = GRACE_SECONDS,
) -> Compacted | None:
    """Merges the partition's small files if there are enough of them (or `whole`), and sweeps what is left over.

    Rows of erased users are dropped from all that is written. With `erase`, segments that hold rows of a user erased
    since they were written are written anew, and small files are merged however few. `now` Unix seconds. None when
    another process compacts this partition. A crash anywhere leaves the log as it was, or as it is to be. Raises
    `LogDamaged`, or OSError.
    """
    if not log.directory.is_dir():
        return Compacted()
    with _locked(log.directory) as mine:
        if not mine:
            return None
        chain = log.chain()
        removed = _sweep(log.directory, now, grace_seconds)
        manifest = read_manifest(log.directory)
        fingerprint = _fingerprint(tombstones)
        search = erase and fingerprint != manifest.erasures
        # A worker that stood still may have published rows after the erasure was searched for.
        stale = erase and not search and any(_holds_erased(file, tombstones) for file in chain if not file.is_segment)
        groups = groups_to_merge(chain, now, whole=whole or search or stale)
        if search:
            merged = {file.path for group in groups for file in group}
            groups += [[file] for file in chain if file.path not in merged and _holds_erased(file, tombstones)]
        if not groups and not (search and chain):
            return Compacted(removed=removed)
        written = [_write_segment(log, group, manifest.generation + 1, tombstones) for group in groups]
        changed = _with_segments(manifest, groups, written, now)
        if fingerprint != manifest.erasures:
            # What is merged under other tombstones may hold what the manifest says is gone: to be searched again.
            changed = replace(changed, erasures=fingerprint if search else "")
        flush_directory(log.directory)  # what the manifest will name is there for good before it is named
        write_manifest(log.directory, changed)
        files = [file for group in groups for file in group]
        erased = sum(file.rows for file in files) - sum(segment.rows for segment in written)
        return Compacted(len(files), len(written), erased, removed)


def sweep(log: PartitionLog, now: float, *, grace_seconds: float = GRACE_SECONDS) -> Compacted | None:
    """Removes what belongs to no log: replaced files after their grace, and what crashes left. None as `compact`.

    Raises `LogDamaged` before anything is removed, or OSError.
    """
    if not log.directory.is_dir():
        return Compacted()
    with _locked(log.directory) as mine:
        if not mine:
            return None
        log.chain()  # a log that is not whole is left as it is
        return Compacted(removed=_sweep(log.directory, now, grace_seconds))


def _with_segments(
    manifest: LogManifest, groups: Sequence[Sequence[LogFile]], written: Sequence[Segment], now: float
) -> LogManifest:
    replaced = {file.path.name for group in groups for file in group}
    kept = [segment for segment in manifest.segments if segment.name not in replaced]
    retired = [*manifest.retired, *(Retired(name, now) for name in sorted(replaced))]
    return replace(
        manifest,
        generation=manifest.generation + 1,
        segments=tuple(sorted([*kept, *written], key=lambda segment: segment.after)),
        retired=tuple(retired),
    )


def _write_segment(log: PartitionLog, group: Sequence[LogFile], generation: int, tombstones: Tombstones) -> Segment:
    after, last = group[0].after, group[-1].last
    path = log.directory / f"segment-{_dashed(after)}-{_dashed(last)}-{generation:06d}.parquet"
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows = 0
        with aside.open("wb") as file:
            with parquet_writer(file, log.partition, after, last, compression_level=3) as writer:
                for table in _row_groups(group, tombstones):
                    writer.write_table(table)
                    rows += table.num_rows
            file.flush()
            os.fsync(file.fileno())
        segment = Segment(path.name, after, last, rows, aside.stat().st_size, sha256_of(aside))
        aside.replace(path)  # one that a crash left of the same generation is in no manifest
    finally:
        aside.unlink(missing_ok=True)
    return segment


def _row_groups(group: Sequence[LogFile], tombstones: Tombstones) -> Iterator[pa.Table]:
    """The rows that stay, in tables of a row group's size: a large segment never is in memory as a whole."""
    waiting: list[pa.Table] = []
    for file in group:
        _check(file)
        for table in _tables(file.path):
            waiting.append(without_erased(table, tombstones))
            if sum(part.num_rows for part in waiting) >= _ROW_GROUP_ROWS:
                yield pa.concat_tables(waiting)
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _tables(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns, use_threads=False)
                yield table if columns else conformed(table)
    except (OSError, pa.ArrowException, ValueError, KeyError) as exc:
        raise LogDamaged(f"{path} is not a readable file of the log ({exc}); restore it from a back-up") from exc


def _check(file: LogFile) -> None:
    if file.sha256 is not None and sha256_of(file.path) != file.sha256:
        raise LogDamaged(f"{file.path} is not as it was written (its checksum differs); restore it from a back-up")


def _holds_erased(file: LogFile, tombstones: Tombstones) -> bool:
    if not len(tombstones):
        return False
    _check(file)
    return any(erased_rows(table, tombstones) is not None for table in _tables(file.path, ERASURE_COLUMNS))


def _fingerprint(tombstones: Tombstones) -> str:
    """Stands for a set of tombstones; empty for none. A later tombstone of one user raises the sums."""
    if not len(tombstones):
        return ""
    times = math.fsum(tombstone.erased_at for tombstone in tombstones)
    places = sum(tombstone.until.milliseconds + tombstone.until.sequence for tombstone in tombstones)
    return f"{len(tombstones)}:{times:.6f}:{places}"


def _sweep(directory: Path, now: float, grace_seconds: float) -> int:
    """The retired whose time has come, and files that are in no manifest and can come into none.

    Under the lock, and only where the files make up a log: a manifest that was lost or is an old one names too few.
    """
    manifest = read_manifest(directory)
    current = {segment.name for segment in manifest.segments}
    spared = {retired.name for retired in manifest.retired if now - retired.at < grace_seconds}
    removed = 0
    for path in list(directory.iterdir()):
        after = after_of(path.name)
        if path.name.endswith(".tmp"):
            doomed = _is_abandoned(path, now)
        elif last_of_segment(path.name) is not None:
            doomed = path.name not in current and path.name not in spared
        else:
            doomed = after is not None and after < manifest.tail and path.name not in spared
        if doomed:
            path.unlink(missing_ok=True)
            removed += 1
    still = tuple(retired for retired in manifest.retired if retired.name in spared)
    if still != manifest.retired:
        write_manifest(directory, replace(manifest, generation=manifest.generation + 1, retired=still))
    return removed


def _is_abandoned(aside: Path, now: float) -> bool:
    """Whether a file written aside is too old for its writer to be still at it."""
    try:
        return now - aside.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        return False  # its writer has just removed it


@contextmanager
def _locked(directory: Path) -> Iterator[bool]:
    """Whether this process has the partition to itself, as far as compaction goes."""
    descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _dashed(at: StreamId) -> str:
    return f"{at.milliseconds:015d}_{at.sequence:06d}"
