"""The event log that the service's workers write, as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsvc.bundle.types import Int64
from recsvc.eventlog.event import MERGE
from recsvc.eventlog.files import PartitionLog, partitions_in
from recsvc.eventlog.manifest import LogDamaged
from recsvc.eventlog.position import BEGINNING, StreamId
from recsvc.eventlog.reader import DIRECTORY_NAME, LogSnapshot, snapshot
from recsvc.eventlog.rows import without_erased
from recsvc.eventlog.tombstones import Tombstones
from training.errors import DataInvalid, DataMissing
from training.sources.assemble import assemble
from training.sources.catalogue import read_catalogue
from training.sources.dataset import Dataset
from training.sources.erasure import applied_at
from training.sources.live_items import items_file, read_live_items
from training.sources.parquet import row_excerpts
from training.sources.raw import RawEvents, concatenate
from training.sources.request import Request

_COLUMNS: Final = [
    "stream_ms",
    "stream_seq",
    "type",
    "user_id",
    "target_id",
    "item_id",
    "timestamp",
    "value",
    "event_id",
]
_LOOKS: Final = 3


class LogEmpty(DataMissing):
    """The log has no event that a model could be trained on."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"{root}: the event log has no events on items yet; send some (POST /v1/events) while a worker runs "
            "(make run), or name another source with DATASET= or DATA="
        )


@dataclass(frozen=True, slots=True)
class _Log:
    """What was read: `tables` one per file of `snapshot`, with a column `row` (from 1), erased rows left out."""

    snapshot: LogSnapshot
    tables: list[Any]
    fingerprint: str
    erased: int


def log_root(state_dir: Path) -> Path:
    """Where the service's workers write the log."""
    return state_dir / DIRECTORY_NAME


def take_snapshot(root: Path) -> LogSnapshot:
    """The log as it is now. Raises DataInvalid naming the file where its files do not make up a log."""
    try:
        return snapshot(root)
    except LogDamaged as exc:
        raise DataInvalid(str(exc)) from exc


def rows_after(root: Path, ends: Mapping[str, str]) -> int:
    """How many rows came after the `ends` of a manifest (by partition, `042`). Raises DataInvalid."""
    count = 0
    try:
        for partition in partitions_in(root):
            end = StreamId.parse(ends.get(f"{partition:03d}", str(BEGINNING)))
            for file in PartitionLog(root, partition).chain():
                if end <= file.after:
                    count += file.rows
                elif end < file.last:
                    ids = pq.read_table(file.path, columns=["stream_ms", "stream_seq"])
                    pairs = zip(ids.column(0).to_pylist(), ids.column(1).to_pylist(), strict=True)
                    count += sum(pair > end for pair in pairs)
    except (LogDamaged, pa.ArrowException, OSError) as exc:
        raise DataInvalid(f"{root}: the event log cannot be read ({exc})") from exc
    return count


def read_log(request: Request) -> Dataset:
    """Every event on an item, each user's merged ones with those of the account; the catalogue is the live items', laid
    over the one that was asked for. Raises LogEmpty, DataInvalid."""
    assert request.state_dir is not None  # noqa: S101 - every command has one
    root = log_root(request.state_dir)
    log = _read(root, request.tombstones)
    merged = _merged(log.tables)
    parts = [
        part
        for path, table in zip(log.snapshot.files, log.tables, strict=True)
        if (part := _part(path, table, merged)).count
    ]
    if not parts:
        raise LogEmpty(root)
    checked = request.check(concatenate(str(root), parts))
    live = read_live_items(request.state_dir)
    records = live.over([] if request.catalogue is None else read_catalogue(request.catalogue))
    digest = hashlib.sha256(log.fingerprint.encode())
    for file in (request.catalogue, items_file(request.state_dir)):
        if file is not None and file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    dataset = assemble(request.name, digest.hexdigest(), checked, records)
    return Dataset(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        events=dataset.events,
        items=dataset.items,
        rejects=dataset.rejects,
        log_ends={f"{partition:03d}": str(end) for partition, end in sorted(log.snapshot.ends.items())},
        log_events=len(dataset.events),
        erasures_applied_at=applied_at(request.tombstones),
        erased=log.erased,
    )


def _read(root: Path, tombstones: Tombstones) -> _Log:
    for _ in range(_LOOKS - 1):
        try:
            return _read_once(root, tombstones)
        except FileNotFoundError:
            pass  # compacted away since the snapshot, by far too long a read: look again
    try:
        return _read_once(root, tombstones)
    except FileNotFoundError as exc:
        raise DataInvalid(f"{exc.filename}: the file left the log while it was read; run again") from exc


def _read_once(root: Path, tombstones: Tombstones) -> _Log:
    taken = take_snapshot(root)
    digest = hashlib.sha256()
    tables, erased = [], 0
    for path in taken.files:
        content = path.read_bytes()
        expected = taken.checksums.get(path)
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            raise DataInvalid(
                f"{path}: its SHA-256 is not the one in the manifest beside it, so its rows cannot be trusted; restore "
                "it from a back-up"
            )
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
        try:
            table = pq.read_table(pa.BufferReader(content), columns=_COLUMNS)
        except (pa.ArrowException, OSError, KeyError) as exc:
            raise DataInvalid(
                f"{path}: not a readable file of the log ({str(exc).splitlines()[0]}); restore it from a back-up"
            ) from exc
        table = table.append_column("row", pa.array(np.arange(1, table.num_rows + 1)))
        left = without_erased(table, tombstones)
        erased += _count_events(table) - _count_events(left)
        tables.append(left)
    return _Log(taken, tables, digest.hexdigest(), erased)


def _count_events(table: Any) -> int:
    return int(pc.sum(_is_event(table)).as_py() or 0)


def _is_event(table: Any) -> Any:
    return pc.and_(pc.is_valid(table.column("item_id")), pc.not_equal(table.column("type"), MERGE))


def _merged(tables: list[Any]) -> dict[str, str]:
    """User id → the account it was merged into, over as many merges as there were."""
    into: dict[str, str] = {}
    for table in tables:
        rows = table.filter(pc.equal(table.column("type"), MERGE))
        pairs = zip(rows.column("user_id").to_pylist(), rows.column("target_id").to_pylist(), strict=True)
        into.update((user, account) for user, account in pairs if account is not None)
    return {user: _root(user, into) for user in into}


def _root(user: str, into: Mapping[str, str]) -> str:
    seen = {user}
    while (account := into.get(user)) is not None and account not in seen:
        seen.add(account)
        user = account
    return user


def _part(path: Path, table: Any, merged: Mapping[str, str]) -> RawEvents:
    table = table.filter(_is_event(table))
    users = _accounts(table.column("user_id"), merged)
    columns = {
        "user_id": users,
        **{name: table.column(name) for name in ("item_id", "type", "timestamp")},
        # An event is told from others by its id and its user: clients may number theirs.
        "event_id": pc.binary_join_element_wise(users, table.column("event_id"), "\x1f"),
    }
    if table.column("value").null_count < table.num_rows:
        columns["value"] = table.column("value")
    lines: Int64 = table.column("row").to_numpy()
    return RawEvents(path, "row", columns, table.num_rows, lines, [], lambda rows: row_excerpts(columns, rows))


def _accounts(users: Any, merged: Mapping[str, str]) -> Any:
    if not merged or not len(users):
        return users
    encoded = users.combine_chunks().dictionary_encode()
    names = [merged.get(name, name) for name in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pc.take(pa.array(names, pa.string()), encoded.indices)])
