"""Reading the event log: the files that together hold every event once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recsvc.eventlog.files import PartitionLog, partitions_in
from recsvc.eventlog.position import StreamId

DIRECTORY_NAME: Final = "events"
"""Of the log, below the state directory."""


@dataclass(frozen=True, slots=True)
class LogSnapshot:
    """The log at one moment. `files` are Parquet files with the columns of `rows.SCHEMA`, by partition and then in the
    order of its stream, those without a row left out; `ends` the last stream id of each partition that has any;
    `rows` in all; `checksums` the SHA-256 of the compacted files among them, in hexadecimal (the small ones have none).
    The files stay for `compact.GRACE_SECONDS` at least, even when a compaction replaces them.
    """

    files: list[Path]
    ends: dict[int, StreamId]
    rows: int
    checksums: dict[Path, str] = field(default_factory=dict)


def snapshot(root: Path) -> LogSnapshot:
    """The log in `root` as it is now; writers and compaction may be at work meanwhile. Empty where there is none.

    Raises `LogDamaged`, naming the file, when a partition's files do not join up.
    """
    files: list[Path] = []
    ends: dict[int, StreamId] = {}
    rows = 0
    checksums: dict[Path, str] = {}
    for partition in partitions_in(root):
        chain = PartitionLog(root, partition).chain()
        if chain:
            ends[partition] = chain[-1].last
        files += [file.path for file in chain if file.rows]
        rows += sum(file.rows for file in chain)
        checksums |= {file.path: file.sha256 for file in chain if file.rows and file.sha256 is not None}
    return LogSnapshot(files, ends, rows, checksums)
