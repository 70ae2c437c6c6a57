"""A partition's log on disk: a chain of files, each named by the last stream id before its first row."""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recsvc.bundle.files import flush_directory
from recsvc.eventlog.manifest import MANIFEST_NAME, LogDamaged, LogManifest, Segment, read_manifest
from recsvc.eventlog.position import BEGINNING, PARTITIONS, StreamId
from recsvc.eventlog.rows import SCHEMA

_TAIL_NAME: Final = re.compile(r"([0-9]{15,20})-([0-9]{6,20})\.parquet", re.ASCII)
_FEW_VALUES: Final = [
    *("type", "target_type", "attribution", "placement", "model_version", "source", "team"),
    *("experiments.list.element.experiment", "experiments.list.element.variant"),
]
_SEGMENT_NAME: Final = re.compile(r"segment-[0-9_]+-([0-9]{15,20})_([0-9]{6,20})-[0-9]{6,}\.parquet", re.ASCII)
_DIRECTORY_NAME: Final = re.compile(r"p([0-9]{3})", re.ASCII)
_LOOKS: Final = 50
_PAUSE_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the chain: the rows with stream ids after `after`, up to and with `last`. `sha256` of segments only."""

    path: Path
    after: StreamId
    last: StreamId
    rows: int
    size_bytes: int
    is_segment: bool
    sha256: str | None = None


class PartitionLog:
    """The log of one partition, in `<root>/p042`; for one thread, beside any number of others with their own.

    Any number of owners may publish at a time: a file's name follows from where the log ends, and only one of those
    who come to the same name can link it. What is in the chain stays in it until a compaction replaces it.
    """

    def __init__(self, root: Path, partition: int) -> None:
        self.partition = partition
        self.directory = root / f"p{partition:03d}"
        self._known: dict[StreamId, LogFile] = {}
        self._rooted = False

    def chain(self) -> list[LogFile]:
        """Every file of the log in the order of the stream, segments first. Raises `LogDamaged`, or OSError."""
        missing: str | None = None
        for _ in range(_LOOKS):
            manifest = read_manifest(self.directory)
            names, reached = self._listed(manifest.tail)
            if read_manifest(self.directory).generation != manifest.generation:
                continue  # compacted between the two looks: the names may be of before or after
            segments = [self._segment_file(segment) for segment in manifest.segments]
            try:
                tail, gap = self._follow(manifest, names)
            except FileNotFoundError:
                continue
            lost = next((file.path for file in segments if not file.path.exists()), None)
            if lost is not None:
                gap = f"{lost} is missing, which the manifest beside it names; restore it from a back-up"
            chain = segments + tail
            end = chain[-1].last if chain else BEGINNING
            if gap is None and reached is not None and reached[0] > end:
                gap = (
                    f"{self.directory / reached[1]} reaches to {reached[0]}, but by {MANIFEST_NAME} beside it the log "
                    f"ends at {end}: the manifest, or a file, is missing or from before; restore it from a back-up"
                )
            if gap is None:
                return chain
            # A listing is not of one moment: it may show a file and lack an earlier one.
            if gap == missing:
                raise LogDamaged(gap)
            missing = gap
            time.sleep(_PAUSE_SECONDS)
        raise LogDamaged(f"{self.directory} kept changing while it was read; try again")

    def end(self) -> StreamId:
        """The last stream id that is in the log, by what the directory and the manifest say now."""
        chain = self.chain()
        return chain[-1].last if chain else StreamId(0, 0)

    def durable_end(self) -> StreamId:
        """`end`, and everything up to it is on the disk: others may have linked a file and not flushed its name."""
        if not self.directory.is_dir():
            return StreamId(0, 0)
        end = self.end()
        flush_directory(self.directory)
        if not self._rooted:
            flush_directory(self.directory.parent)
            flush_directory(self.directory.parent.parent)
            self._rooted = True
        return end

    def publish(self, after: StreamId, last: StreamId, rows: pa.Table) -> bool:
        """Adds the file of the entries after `after`, up to and with `last`; `rows` may lack some of them.

        False when somebody published another one in this place. True does not mean that the file counts: if the place
        was compacted meanwhile it is ignored. So ask `durable_end` for what the log holds. Raises OSError.
        """
        if not after < last:
            raise ValueError(f"a file cannot reach from {after} to {last}")
        self.directory.mkdir(parents=True, exist_ok=True)
        name = tail_name(after)
        aside = self.directory / f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            with aside.open("wb") as file:
                write_rows(file, rows, self.partition, after, last)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(aside, self.directory / name)
            except FileExistsError:
                return False
        finally:
            aside.unlink(missing_ok=True)
        flush_directory(self.directory)
        return True

    def _listed(self, tail: StreamId) -> tuple[list[StreamId], tuple[StreamId, str] | None]:
        """Where the small files from `tail` on begin, and how far the segments reach, whether of the log or not.

        A segment is written from files of the log, so none reaches beyond its end unless something was lost.
        """
        try:
            with os.scandir(self.directory) as entries:
                names = [entry.name for entry in entries]
        except FileNotFoundError:
            return [], None
        begins = (after for name in names if (after := after_of(name)) is not None)
        reached = ((last, name) for name in names if (last := last_of_segment(name)) is not None)
        return sorted(after for after in begins if after >= tail), max(reached, default=None)

    def _follow(self, manifest: LogManifest, names: list[StreamId]) -> tuple[list[LogFile], str | None]:
        """The files from the tail's beginning on, and what is wrong where one does not begin at the other's end."""
        position = manifest.tail
        tail: list[LogFile] = []
        for after in names:
            path = self.directory / tail_name(after)
            if after != position:
                return tail, (
                    f"{path} does not begin where the log before it ends, which is at {position}: "
                    f"{self.directory / tail_name(position)} is missing; restore it, or move the later ones away"
                )
            if after not in self._known:
                self._known[after] = self._read_footer(path, after)
            tail.append(self._known[after])
            position = tail[-1].last
        self._known = {after: file for after, file in self._known.items() if after >= manifest.tail}
        return tail, None

    def _read_footer(self, path: Path, after: StreamId) -> LogFile:
        try:
            with path.open("rb") as file:
                footer = pq.read_metadata(file)
                size = os.fstat(file.fileno()).st_size
            keys = footer.metadata or {}
            first, last = StreamId.parse(keys[b"after"]), StreamId.parse(keys[b"last"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, pa.ArrowException) as exc:
            raise LogDamaged(f"{path} is not a readable file of the log ({exc}); restore it from a back-up") from exc
        if first != after or not after < last or keys.get(b"partition") != str(self.partition).encode():
            raise LogDamaged(f"{path} is not what its name says (it begins after {first}); move it away")
        return LogFile(path, after, last, footer.num_rows, size, is_segment=False)

    def _segment_file(self, segment: Segment) -> LogFile:
        path = self.directory / segment.name
        return LogFile(path, segment.after, segment.last, segment.rows, segment.size_bytes, True, segment.sha256)


def partitions_in(root: Path) -> list[int]:
    """The partitions that have a directory in `root`, ascending."""
    if not root.is_dir():
        return []
    found = (_DIRECTORY_NAME.fullmatch(path.name) for path in root.iterdir())
    return sorted(number for match in found if match and (number := int(match[1])) < PARTITIONS)


def tail_name(after: StreamId) -> str:
    """The name of the file that begins after this id."""
    return f"{after.milliseconds:015d}-{after.sequence:06d}.parquet"


def after_of(name: str) -> StreamId | None:
    """The id in such a name, or None for a name of another kind."""
    found = _TAIL_NAME.fullmatch(name)
    return None if found is None else StreamId(int(found[1]), int(found[2]))


def last_of_segment(name: str) -> StreamId | None:
    """The last id in the name of a segment, or None for a name of another kind."""
    found = _SEGMENT_NAME.fullmatch(name)
    return None if found is None else StreamId(int(found[1]), int(found[2]))


def write_rows(file: Any, rows: pa.Table, partition: int, after: StreamId, last: StreamId) -> None:
    """Writes a small file: one row group, lightly compressed, its place in the metadata."""
    options = {"compression_level": 1, "use_dictionary": _FEW_VALUES, "write_statistics": False}
    with parquet_writer(file, partition, after, last, **options) as writer:
        writer.write_table(rows)


def parquet_writer(file: Any, partition: int, after: StreamId, last: StreamId, **options: Any) -> pq.ParquetWriter:
    """Writes a file of the log, to be closed; the metadata says where it lies."""
    writer = pq.ParquetWriter(file, SCHEMA, compression="zstd", store_schema=False, **options)
    writer.add_key_value_metadata({"partition": str(partition), "after": str(after), "last": str(last)})
    return writer
