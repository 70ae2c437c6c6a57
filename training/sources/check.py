"""Every row against the rules; what fails is counted, written aside, and may stop the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsvc.bundle.types import Bool, Int32, Int64
from recsvc.eventlog.tombstones import Tombstones
from recsvc.events.schema import EVENT_TYPES, MAX_ID_CHARACTERS, TYPE_CODES, id_problem
from training.errors import DataInvalid
from training.sources import times
from training.sources.dataset import Rejects
from training.sources.engine import query
from training.sources.ids import factorise
from training.sources.raw import BadRow, RawTable
from training.sources.rejects import write_rejects

DUPLICATE: Final = "duplicate event_id"
_TYPE_MISSING: Final = "type is missing"
_TYPE_UNKNOWN: Final = "type is unknown"
_VALUE_UNREADABLE: Final = "value is not a number"
_VALUE_INFINITE: Final = "value is NaN or infinite"
_REMEDIES: Final = {
    **times.REMEDIES,
    _TYPE_MISSING: "give every event a type, or leave the whole column out: every event is then a view",
    _TYPE_UNKNOWN: f"the types are {', '.join(EVENT_TYPES)}",
    _VALUE_UNREADABLE: "write a number, or nothing where there is none",
    _VALUE_INFINITE: "write a finite number, or nothing where there is none",
    DUPLICATE: "give each event an id of its own",
}
_ID_REMEDY: Final = f"ids are 1 to {MAX_ID_CHARACTERS} characters of text or a whole number, no control characters"
_LEFT_OUT: Final = "(left out: it may be of an erased user)"
_LINE_REMEDY: Final = "export the file again, or mend the lines"


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows that passed, in file order; labels as `training.sources.ids.factorise` gives them.

    `rows` int64 (n,) their positions in the table; `users`, `items` int32 (n,) positions in the labels; `types` int8;
    `timestamps` float64 and `values` float32, NaN where there is none.
    """

    rows: Int64
    users: Int32
    user_labels: list[str]
    items: Int32
    item_labels: list[str]
    types: npt.NDArray[np.int8]
    timestamps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32]
    rejects: Rejects


class _Faults:
    """The first fault of each row: `codes` int16 (n,), 0 for none, else 1 + a position in `reasons`."""

    def __init__(self, count: int) -> None:
        self.codes = np.zeros(count, dtype=np.int16)
        self.reasons: list[str] = []

    def mark(self, rows: Bool, reason: str) -> None:
        """Gives the reason to those of the rows that have none yet."""
        if not rows.any():
            return
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.codes[rows & (self.codes == 0)] = 1 + self.reasons.index(reason)

    def reasons_of(self, rows: Int64) -> list[str]:
        """The reason of each of the rows, which must all have one."""
        return [self.reasons[code - 1] for code in self.codes[rows].tolist()]


def check(table: RawTable, *, max_reject_share: float, rejects_path: Path, tombstones: Tombstones) -> Checked:
    """The table's good rows; the others go to the rejects file (CSV: line, reason, raw), replaced by a rename.

    A row's first fault counts, in the order user_id, item_id, type, timestamp, value, duplicate event_id. Raises
    `DataInvalid` when bad rows (malformed lines with them, duplicates not) are more than `max_reject_share` of all,
    or when no row is left. What an erased user's row says is kept nowhere; once there are tombstones, neither is what
    a malformed line or a row without a user says: nobody knows whose it is.
    """
    rows = check_rows(table, tombstones)
    verdict = Verdict(table.name, len(table) + len(table.malformed), rows.kept, len(table.parts) > 1, table.unit)
    return rows.checked(reject(verdict, rows.refused, max_reject_share, rejects_path))


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What one table gave: `rows`, the columns of those that passed, as `Checked` has them, and what was refused."""

    rows: Int64
    users: Int32
    user_labels: list[str]
    items: Int32
    item_labels: list[str]
    types: npt.NDArray[np.int8]
    timestamps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32]
    refused: list[BadRow]

    @property
    def kept(self) -> int:
        """How many rows passed."""
        return len(self.users)

    def checked(self, rejects: Rejects) -> Checked:
        """The same, with what became of the others."""
        return Checked(
            rows=self.rows,
            users=self.users,
            user_labels=self.user_labels,
            items=self.items,
            item_labels=self.item_labels,
            types=self.types,
            timestamps=self.timestamps,
            values=self.values,
            rejects=rejects,
        )


def check_rows(table: RawTable, tombstones: Tombstones) -> CheckedRows:
    """Each row of a table against the rules; how many may fail is `reject`'s to say."""
    faults = _Faults(len(table))
    users, user_labels = _check_ids(table, "user_id", faults)
    items, item_labels = _check_ids(table, "item_id", faults)
    types = _check_types(table, faults)
    timestamps = _check_times(table, faults)
    values = _check_values(table, faults)
    _check_duplicates(table, faults)
    kept = np.flatnonzero(faults.codes == 0)
    everything = len(kept) == len(table)

    def keep(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return column if everything else column[kept]

    return CheckedRows(
        rows=kept,
        users=keep(users),
        user_labels=user_labels,
        items=keep(items),
        item_labels=item_labels,
        types=keep(types),
        timestamps=keep(timestamps),
        values=keep(values),
        refused=_refused(table, faults, users, user_labels, tombstones),
    )


def _check_ids(table: RawTable, ours: str, faults: _Faults) -> tuple[Int32, list[str]]:
    if ours not in table.columns:
        return np.empty(0, dtype=np.int32), []
    codes, labels = factorise(table.columns[ours])
    faults.mark(codes < 0, f"{ours} is missing")
    bad: dict[str, list[int]] = {}
    for code, label in enumerate(labels):
        if (problem := id_problem(label)) is not None:
            reason = f"is longer than {MAX_ID_CHARACTERS} characters" if len(label) > MAX_ID_CHARACTERS else problem
            bad.setdefault(reason, []).append(code)
    for reason, wrong in bad.items():
        is_wrong = np.zeros(len(labels) + 1, dtype=np.bool_)  # the last place is for -1
        is_wrong[wrong] = True
        faults.mark(is_wrong[codes], f"{ours} {reason}")
    return codes, labels


def _check_types(table: RawTable, faults: _Faults) -> npt.NDArray[np.int8]:
    if "type" not in table.columns:
        return np.full(len(table), TYPE_CODES["view"], dtype=np.int8)
    codes, labels = factorise(table.columns["type"])
    code_of = np.array([*(TYPE_CODES.get(label, -1) for label in labels), -1], dtype=np.int8)
    types = code_of[codes]
    faults.mark(codes < 0, _TYPE_MISSING)
    faults.mark(types < 0, _TYPE_UNKNOWN)
    return types


def _check_times(table: RawTable, faults: _Faults) -> npt.NDArray[np.float64]:
    if "timestamp" not in table.columns:
        return np.full(len(table), np.nan)
    read = times.read_times(table.columns["timestamp"])
    for reason, rows in read.faults.items():
        faults.mark(rows, reason)
    return read.seconds


def _check_values(table: RawTable, faults: _Faults) -> npt.NDArray[np.float32]:
    if "value" not in table.columns:
        return np.full(len(table), np.nan, dtype=np.float32)
    column = table.columns["value"]
    missing = column.is_null().to_numpy()
    if not pa.types.is_floating(column.type):
        column = query("SELECT try_cast(v AS DOUBLE) AS number FROM given", given=pa.table({"v": column})).column(
            "number"
        )
        faults.mark(column.is_null().to_numpy() & ~missing, _VALUE_UNREADABLE)
    numbers = column.fill_null(0.0).to_numpy()
    # What float32 cannot hold would become infinite.
    with np.errstate(invalid="ignore"):
        faults.mark(~(np.abs(numbers) <= np.finfo(np.float32).max), _VALUE_INFINITE)
        values: npt.NDArray[np.float32] = np.where(missing, np.nan, np.clip(numbers, -3e38, 3e38)).astype(np.float32)
    return values


def _check_duplicates(table: RawTable, faults: _Faults) -> None:
    """Marks all but the first good row of each event_id. Hashes narrow the search; texts decide."""
    if "event_id" not in table.columns:
        return
    column = table.columns["event_id"]
    hashes = query("SELECT hash(e) AS h FROM given", given=pa.table({"e": column})).column("h").to_numpy()
    candidates = np.flatnonzero((faults.codes == 0) & column.is_valid().to_numpy())
    hashes = hashes[candidates]
    ordered = np.sort(hashes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return
    suspects = candidates[np.isin(hashes, repeated)]
    codes, _ = factorise(column.take(pa.array(suspects)))
    _, first = np.unique(codes, return_index=True)
    later = np.ones(len(suspects), dtype=np.bool_)
    later[first] = False
    rows = np.zeros(len(table), dtype=np.bool_)
    rows[suspects[later]] = True
    faults.mark(rows, DUPLICATE)


def _refused(
    table: RawTable, faults: _Faults, users: Int32, user_labels: list[str], tombstones: Tombstones
) -> list[BadRow]:
    """The bad rows and malformed lines by their place, those of erased users without what they say."""
    bad = np.flatnonzero(faults.codes)
    rows = table.bad_rows(bad, faults.reasons_of(bad))
    malformed = table.malformed
    if len(tombstones):
        labels = [user_labels[code] if code >= 0 else None for code in users[bad].tolist()]
        rows = [
            replace(row, excerpt=_LEFT_OUT) if label is None or tombstones.of(label) is not None else row
            for row, label in zip(rows, labels, strict=True)
        ]
        malformed = [replace(row, excerpt=_LEFT_OUT) for row in malformed]
    return sorted([*malformed, *rows], key=lambda row: (str(row.path), row.line))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be judged: the source's `name`, how many rows it had in all (`total`) and how many passed (`kept`),
    whether it has several files, and what a row of it is called."""

    name: str
    total: int
    kept: int
    several_files: bool
    unit: str


def reject(asked: Verdict, refused: list[BadRow], max_share: float, path: Path) -> Rejects:
    """Writes the refused rows to `path`. Raises `DataInvalid` where they are too many, or nothing is left."""
    write_rejects(path, refused, name_files=asked.several_files)
    by_reason = dict(Counter(row.reason for row in refused).most_common())
    counted = [row for row in refused if row.reason != DUPLICATE]
    share = len(counted) / asked.total if asked.total else 0.0
    if asked.total and (share > max_share or not asked.kept):
        raise DataInvalid(_stop_message(asked, counted or refused, max_share, path))
    if not asked.total:
        raise DataInvalid(f"{asked.name}: there are no events in it; export it again, with at least one")
    return Rejects(len(refused), by_reason, str(path) if refused else None)


def _stop_message(asked: Verdict, refused: list[BadRow], max_share: float, rejects_path: Path) -> str:
    first, total = refused[0], asked.total
    limit = f"more than the {max_share:.2%} allowed" if asked.kept else "and no event is left"
    return (
        f"{asked.name}: {len(refused)} of {total} rows ({len(refused) / total:.2%}) cannot be used, {limit}. "
        f"The first: {first.path}, {asked.unit} {first.line}: {first.reason} ({first.excerpt!r}). "
        f"Remedy: {_remedy(first.reason)}. All of them are listed in {rejects_path}; "
        "the limit is data.max_reject_share of the settings (CONFIG=)"
    )


def _remedy(reason: str) -> str:
    if reason.startswith("malformed"):
        return _LINE_REMEDY
    return _REMEDIES.get(reason, _ID_REMEDY)
