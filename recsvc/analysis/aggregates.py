"""Aggregates of the event log, kept under the state directory: what was counted once is not read again."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
import pyarrow
import pyarrow.parquet
from duckdb import DuckDBPyConnection

from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.news import open_news
from recsvc.analysis.position import Position, read_position, write_position
from recsvc.analysis.tables import TABLES, grouped, open_table, open_tables, write_table
from recsvc.bundle.files import flush_directory
from recsvc.eventlog.files import LogFile, PartitionLog, partitions_in
from recsvc.eventlog.manifest import LogDamaged
from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.reader import DIRECTORY_NAME
from recsvc.eventlog.tombstones import Tombstones, read_tombstones

_BATCH_ROWS: Final = 2_000_000
"""Rows counted at a time: what bounds the memory. A user's rows are all in one partition, and in one batch."""

_MOST_PARTS: Final = 16
_DAY_MILLISECONDS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Aggregates:
    """The open tables: views of `tables.TABLES` in `connection`.

    `today` is the UTC day (days since 1970) in which the log's last row was received: days before it are complete.
    `rows_read` how many rows of the log were new.
    """

    connection: DuckDBPyConnection
    today: int
    rows_read: int


@contextmanager
def aggregates(state_dir: Path) -> Iterator[Aggregates]:
    """The aggregates of the log as it is now, brought up to date first; one process at a time.

    Users erased since the last time are forgotten: their partitions are counted anew. Raises `AnalysisRefused` where
    there is no log or it is damaged, or OSError.
    """
    directory = analysis_directory(state_dir) / "aggregates"
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / ".lock"), _database(directory) as connection:
        try:
            position, rows_read = _brought_up_to_date(connection, state_dir, directory)
        except (LogDamaged, ValueError, duckdb.Error, FileNotFoundError) as exc:
            raise AnalysisRefused(f"{state_dir / DIRECTORY_NAME}: the event log cannot be counted ({exc})") from exc
        if not position.parts:
            raise AnalysisRefused(f"{state_dir / DIRECTORY_NAME}: the event log has no events yet; send some first")
        open_tables(connection, [directory / part for part in position.parts])
        today = max(end.milliseconds for end in position.ends.values()) // _DAY_MILLISECONDS
        yield Aggregates(connection, today, rows_read)


def analysis_directory(state_dir: Path) -> Path:
    """Where aggregates and reports are kept."""
    return state_dir / "analysis"


def _brought_up_to_date(connection: DuckDBPyConnection, state_dir: Path, directory: Path) -> tuple[Position, int]:
    root = state_dir / DIRECTORY_NAME
    tombstones = read_tombstones(state_dir)
    chains = {partition: PartitionLog(root, partition).chain() for partition in partitions_in(root)}
    position = _of_this_log(read_position(directory), directory, root, chains)
    position = _without_erased(connection, directory, position, tombstones)
    rows = 0
    for batch in _batches(chains, position):
        position = _counted(connection, directory, position, batch, tombstones)
        rows += sum(file.rows for files in batch.values() for file in files)
    if len(position.parts) > _MOST_PARTS:
        position = _put_together(connection, directory, position)
    _sweep(directory, position)
    return position, rows


def _of_this_log(position: Position, directory: Path, root: Path, chains: dict[int, list[LogFile]]) -> Position:
    """The position, or the beginning: where parts are gone, the log is another one, or less of it than was counted."""
    name = root / "LOG_ID"
    log_id = name.read_text("utf-8").strip() if name.is_file() else ""
    reached = {partition: chain[-1].last for partition, chain in chains.items() if chain}
    behind = any(reached.get(partition, BEGINNING) < end for partition, end in position.ends.items())
    whole = all(_is_whole(directory / part) for part in position.parts)
    return position if whole and not behind and log_id == position.log_id else Position(log_id, number=position.number)


def _is_whole(part: Path) -> bool:
    try:
        for table in TABLES:
            pyarrow.parquet.read_metadata(part / f"{table.name}.parquet")
    except (OSError, pyarrow.ArrowInvalid):
        return False
    return True


def _batches(chains: dict[int, list[LogFile]], position: Position) -> Iterator[dict[int, list[LogFile]]]:
    """The files with rows that were not counted, by partition, a bounded number of rows at a time."""
    batch: dict[int, list[LogFile]] = {}
    rows = 0
    for partition, chain in chains.items():
        end = position.ends.get(partition, BEGINNING)
        files = [file for file in chain if file.last > end]
        if not files:
            continue
        batch[partition] = files
        rows += sum(file.rows for file in files)
        if rows >= _BATCH_ROWS:
            yield batch
            batch, rows = {}, 0
    if batch:
        yield batch


def _counted(
    connection: DuckDBPyConnection,
    directory: Path,
    position: Position,
    batch: dict[int, list[LogFile]],
    tombstones: Tombstones,
) -> Position:
    ends = position.ends | {partition: files[-1].last for partition, files in batch.items()}
    paths = [file.path for files in batch.values() for file in files if file.rows]
    if not paths:
        return replace(position, ends=ends)
    open_news(connection, paths, position.ends, tombstones)
    part = _new_part(directory, position)
    parts = [directory / name for name in (*position.parts, part.name)]
    for table in TABLES:
        write_table(connection, table.first, part / f"{table.name}.parquet")
        open_table(connection, table, parts)
    return _saved(directory, replace(position, ends=ends), (*position.parts, part.name))


def _without_erased(
    connection: DuckDBPyConnection, directory: Path, position: Position, tombstones: Tombstones
) -> Position:
    """Drops the partitions in which a user is counted who was erased since; they are counted again from the log."""
    marks = {mark.digest: str(mark.until) for mark in tombstones}
    news = [digest for digest, until in marks.items() if position.erased.get(digest) != until]
    if not news or not position.parts:
        return replace(position, erased=marks)
    open_tables(connection, [directory / part for part in position.parts])
    found = connection.execute(
        """
        WITH known AS (SELECT partition, user_id FROM daily UNION SELECT partition, user_id FROM merges
                       UNION SELECT partition, account FROM merges)
        SELECT DISTINCT partition FROM known WHERE substr(sha256(user_id), 1, 32) IN (SELECT unnest(?))
        """,
        [news],
    ).fetchall()
    partitions = {int(partition) for (partition,) in found}
    ends = {partition: end for partition, end in position.ends.items() if partition not in partitions}
    kept = replace(position, erased=marks, ends=ends)
    return _put_together(connection, directory, kept, leave_out=sorted(partitions)) if partitions else kept


def _put_together(
    connection: DuckDBPyConnection, directory: Path, position: Position, leave_out: Sequence[int] = ()
) -> Position:
    """One part for all there are."""
    open_tables(connection, [directory / part for part in position.parts])
    part = _new_part(directory, position)
    left = f"WHERE partition NOT IN ({', '.join(map(str, leave_out))})" if leave_out else ""
    for table in TABLES:
        write_table(connection, grouped(table, f"{table.name} {left}"), part / f"{table.name}.parquet")
    return _saved(directory, position, (part.name,))


def _new_part(directory: Path, position: Position) -> Path:
    part = directory / f"part-{position.number:06d}"
    shutil.rmtree(part, ignore_errors=True)  # one that a crash left
    part.mkdir()
    return part


def _saved(directory: Path, position: Position, parts: tuple[str, ...]) -> Position:
    """From here on `parts` count, and no row of theirs is read again."""
    for file in (directory / parts[-1]).iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    flush_directory(directory / parts[-1])
    saved = replace(position, parts=parts, number=position.number + 1)
    write_position(directory, saved)
    return saved


def _sweep(directory: Path, position: Position) -> None:
    """Removes parts that count no more, and what runs that were killed left."""
    write_position(directory, position)
    for path in directory.glob(".scratch-*"):
        if path != _scratch(directory):
            shutil.rmtree(path)
    for path in directory.glob("part-*"):
        if path.name not in position.parts:
            shutil.rmtree(path)


@contextmanager
def _database(directory: Path) -> Iterator[DuckDBPyConnection]:
    """An empty database in memory; what does not fit goes to a directory of its own, removed afterwards."""
    scratch = _scratch(directory)
    connection = duckdb.connect(config={"temp_directory": str(scratch), "preserve_insertion_order": False})
    try:
        yield connection
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch(directory: Path) -> Path:
    return directory / f".scratch-{os.getpid()}"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Waits for its turn: two reports at a time would count the same rows twice over."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
