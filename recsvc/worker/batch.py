"""From a stream's entries to rows: what can be written, what is erased, and what nobody can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa

from recsvc.eventlog.event import LogEvent, decode
from recsvc.eventlog.position import StreamId, partition_of
from recsvc.eventlog.rows import id_problem, row_problem, table_of, without_erased
from recsvc.eventlog.tombstones import Tombstones
from recsvc.store.streams import DeadLetter, Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive entries of one partition's stream: those after `after`, up to and with `last`."""

    partition: int
    after: StreamId
    last: StreamId
    rows: pa.Table
    dead: list[DeadLetter]


def batch_of(partition: int, after: StreamId, entries: Sequence[Entry], tombstones: Tombstones) -> Batch:
    """Sorts the entries, of which there is at least one, into rows and dead letters; erased users' are in neither."""
    events: list[LogEvent] = []
    ids: list[StreamId] = []
    dead: list[DeadLetter] = []
    at_home: dict[str, bool] = {}
    for entry_id, payload in entries:
        if isinstance(payload, dict):
            dead.append(DeadLetter(entry_id, _as_json(payload), "the entry has no field `e`, which holds the event"))
            continue
        try:
            event = decode(payload)
            user_id = event.user_id
            if user_id not in at_home:
                at_home[user_id] = partition_of(user_id) == partition
        except ValueError as exc:
            dead.append(DeadLetter(entry_id, payload, str(exc)))
            continue
        problem = (row_problem(event) or id_problem(entry_id)) if at_home[user_id] else _stray(user_id)
        if problem is None:
            events.append(event)
            ids.append(entry_id)
        else:
            dead.append(DeadLetter(entry_id, payload, problem))
    if len(tombstones):
        dead = [letter for letter in dead if not _is_erased(letter, tombstones)]
    rows = without_erased(table_of(partition, events, ids), tombstones)
    return Batch(partition, after, entries[-1][0], rows, dead)


def _is_erased(letter: DeadLetter, tombstones: Tombstones) -> bool:
    """Whether it is of an erased user, as far as that can be read."""
    try:
        raw = orjson.loads(letter.payload)
    except ValueError:
        return False
    user_id = raw.get("u") if isinstance(raw, dict) else None
    return isinstance(user_id, str) and tombstones.erases(user_id, letter.id)


def _as_json(fields: dict[bytes, bytes]) -> bytes:
    """The fields of an entry that is none of ours, readable; bytes that are no UTF-8 are replaced."""
    texts = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
    return orjson.dumps(texts)


def _stray(user_id: str) -> str:
    return f"its user belongs to partition {partition_of(user_id)}"
