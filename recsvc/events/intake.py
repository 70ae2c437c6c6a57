"""From checked events to the store: attributed, grouped by user, and sent after users that were merged."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from recsvc.eventlog.event import LogEvent
from recsvc.events.attribution import Attributor
from recsvc.events.errors import EventsRefused
from recsvc.events.stored_form import incoming
from recsvc.store.errors import StoreUnavailable
from recsvc.store.event_store import EventStore
from recsvc.telemetry import Telemetry
from recsvc.tokens import TokenSigner

logger = logging.getLogger(__name__)

MAX_HOPS: Final = 4
"""How often events follow a merged user to the account; merges of merged accounts make no longer chains."""

_SILENCE_SECONDS: Final = 10.0

_FULL: Final = (
    "too many events wait to be written to the log: no worker is writing, or it cannot keep up; "
    "start one with make worker, and send the call again"
)


class EventIntake:
    """Stores the events of a call, whole or not at all as far as the caller is told."""

    def __init__(self, store: EventStore, signer: TokenSigner, telemetry: Telemetry) -> None:
        self._store = store
        self._attributor = Attributor(signer, store.merged_ids)
        self._telemetry = telemetry
        self._silent_until = 0.0

    async def take(self, events: Sequence[LogEvent], received: float) -> list[bool]:
        """For each event, in order, whether it is a duplicate. `received` Unix seconds.

        On return everything is on Redis' disk. Raises `EventsRefused`; then some may be stored, and sent again they
        are duplicates.
        """
        if not events:
            return []
        try:
            attributed = await self._attributor.attribute(events, received)
            duplicates = await self._store_all(attributed, received)
        except StoreUnavailable as exc:
            self._refused(len(events), exc)
            raise EventsRefused("the store is not available; send the call again", retry_after_seconds=1) from exc
        except EventsRefused as exc:
            self._refused(len(events), exc)
            raise
        self._count_stored(attributed, duplicates)
        return duplicates

    def _refused(self, number: int, reason: Exception) -> None:
        self._count("refused", number)
        now = time.monotonic()
        if now >= self._silent_until:  # thousands of calls a second may be refused for the same reason
            self._silent_until = now + _SILENCE_SECONDS
            logger.warning("events are answered 503: %s", reason)

    def _count_stored(self, events: Sequence[LogEvent], duplicates: Sequence[bool]) -> None:
        known = sum(duplicates)
        self._count("duplicate", known)
        self._count("accepted", len(events) - known)
        brought = Counter(
            event.attribution
            for event, known in zip(events, duplicates, strict=True)
            if event.attribution and not known
        )
        for outcome, number in brought.items():
            self._telemetry.attribution.labels(outcome).inc(number)

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self._telemetry.events.labels(outcome).inc(number)

    async def _store_all(self, events: Sequence[LogEvent], received: float) -> list[bool]:
        duplicates = [False] * len(events)
        waiting: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            waiting.setdefault(event.user_id, []).append(place)
        for _ in range(1 + MAX_HOPS):
            left = waiting
            waiting = await self._store_once(events, waiting, received, duplicates)
            if not waiting:
                return duplicates
        names = ", ".join(map(repr, sorted({*left, *waiting})))
        raise EventsRefused(
            f"users of these events are being merged, or were merged into each other: {names}; "
            "send the call again, and if that does not help, the merge",
            retry_after_seconds=1,
        )

    async def _store_once(
        self, events: Sequence[LogEvent], places: dict[str, list[int]], received: float, duplicates: list[bool]
    ) -> dict[str, list[int]]:
        """One round trip for the events at `places`, by user. Fills in `duplicates`; returns what moved, by whom to."""
        calls = [
            (user_id, [incoming(events[place], user_id, received) for place in at]) for user_id, at in places.items()
        ]
        moved: dict[str, list[int]] = {}
        full = False
        results = await self._store.ingest(calls, int(received * 1000))
        for at, result in zip(places.values(), results, strict=True):
            full = full or result.full
            for place, duplicate in zip(at, result.duplicate, strict=True):
                if duplicate is not None:
                    duplicates[place] = duplicate
                elif result.moved_to is not None:
                    moved.setdefault(result.moved_to, []).append(place)
        if full:
            raise EventsRefused(_FULL, retry_after_seconds=5)
        for at in moved.values():
            at.sort()
        return moved
