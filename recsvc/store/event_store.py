"""Events into Redis: one atomic script per user."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recsvc.eventlog.position import PARTITIONS
from recsvc.store import keys
from recsvc.store.pipeline import Call, ScriptPipeline
from recsvc.store.records import draft
from recsvc.store.scripts import load_script

_DUPLICATE: Final = ord("d")


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """A validated event. `payload` is its entry of the stream.

    `recent` (type code, Unix seconds, value, item id) where it is to be folded in, else None; `unwanted` the field of
    `keys.unwanted_key` that it sets, and `unwanted_ms` since when (Unix milliseconds; None: its receipt); `raises`
    whether cached lists end with it: not for an impression.
    """

    event_id: str
    payload: bytes
    recent: tuple[int, float, float | None, str] | None
    unwanted: str | None = None
    raises: bool = True
    unwanted_ms: int | None = None


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of the events of one user, in their order.

    `duplicate` False: stored; True: it had been before; None: not stored, because the user was merged into `moved_to`,
    or because the partition's stream is `full`.
    """

    duplicate: list[bool | None]
    moved_to: str | None = None
    full: bool = False


class EventStore:
    """Where events are kept until a worker has written them to the log, with what recommendations need of them."""

    def __init__(self, pipeline: ScriptPipeline, *, max_unwritten_events: int) -> None:
        """`max_unwritten_events` is shared evenly among the partitions, at least one each."""
        self._pipeline = pipeline
        self._limit = max(1, max_unwritten_events // PARTITIONS)
        self._ingest = load_script("ingest")
        self._merged = load_script("merged")

    async def ingest(
        self, calls: Sequence[tuple[str, Sequence[IncomingEvent]]], received_ms: int
    ) -> list[IngestResult]:
        """Stores the events of each (user, events), in order; those of one user atomically.

        Raises `StoreUnavailable`; some users' events may be stored then, and a retry finds them duplicates.
        """
        replies = await self._pipeline.call_many(self._call(user_id, events, received_ms) for user_id, events in calls)
        return [_result(reply) for reply in replies]

    async def merged_ids(self, user_id: str) -> set[str]:
        """The users that were merged into this one. Raises `StoreUnavailable`."""
        reply = await self._pipeline.call(self._merged, (keys.merged_key(user_id),), ())
        return {member.decode("utf-8") for member in reply}

    def _call(self, user_id: str, events: Sequence[IncomingEvent], received_ms: int) -> Call:
        names, filter_begins, filter_ends = keys.of_events(user_id)
        arguments: list[str | bytes | int] = [
            filter_begins,
            filter_ends,
            self._limit,
            "".join(["1" if event.raises else "0" for event in events]),
        ]
        for event in events:
            arguments += (
                event_number(event.event_id),
                event.payload,
                b"" if event.recent is None else draft(*event.recent),
                ""
                if event.unwanted is None
                else f"{received_ms if event.unwanted_ms is None else event.unwanted_ms}:{event.unwanted}",
            )
        return self._ingest, names, arguments


def event_number(event_id: str) -> int:
    """What the duplicate filter keeps of an event's id: 64 bits of BLAKE2b, signed."""
    return int.from_bytes(hashlib.blake2b(event_id.encode("utf-8"), digest_size=8).digest(), "big", signed=True)


def _result(reply: bytes | list[bytes]) -> IngestResult:
    if isinstance(reply, bytes):
        return IngestResult([letter == _DUPLICATE for letter in reply])
    letters, into = reply
    duplicate = [True if letter == _DUPLICATE else None for letter in letters]
    return IngestResult(duplicate, into.decode("utf-8") or None, full=not into and None in duplicate)
