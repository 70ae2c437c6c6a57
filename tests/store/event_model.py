"""What the scripts should do, as plainly as Python can say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from recsvc.eventlog.position import StreamId, partition_of

KEPT = 200


@dataclass(frozen=True)
class Sent:
    """An event as a caller sends it. `stored` is unique to this sending."""

    event_id: str
    kind: str
    item: str | None
    value: float | None
    unwanted: tuple[str, int] | None

    @property
    def raises(self) -> bool:
        return self.kind != "impression"

    @property
    def recent(self) -> bool:
        return self.item is not None and self.raises


@dataclass(frozen=True, order=True)
class Kept:
    """A recent event; ordered by place."""

    id: StreamId
    partition: int
    kind: str = field(compare=False)
    item: str = field(compare=False)
    value: float | None = field(compare=False)


@dataclass
class ModelUser:
    name: str
    recent: list[Kept] = field(default_factory=list)
    dropped: tuple[int, StreamId] | None = None
    unwanted: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    sequence: int | None = None
    lists: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    into: str | None = None
    sealed: StreamId | None = None
    merged: dict[str, StreamId] = field(default_factory=dict)

    def keep(self, events: Sequence[Kept]) -> None:
        """These arrived last."""
        self.recent = self.recent + list(events)
        for lost in self.recent[:-KEPT]:
            self.drop((lost.partition, lost.id))
        self.recent = self.recent[-KEPT:]

    def drop(self, place: tuple[int, StreamId] | None) -> None:
        if place is not None and (self.dropped is None or place[1] > self.dropped[1]):
            self.dropped = place

    def refuse(self, unwanted: dict[str, int]) -> None:
        for name, since in unwanted.items():
            self.unwanted[name] = max(since, self.unwanted.get(name, 0))

    def outcomes(self, events: Sequence[Sent]) -> list[bool | None]:
        """What sending these would give. Changes nothing."""
        if self.into is not None:
            return [True if event.event_id in self.seen else None for event in events]
        seen = set(self.seen)
        found: list[bool | None] = []
        for event in events:
            found.append(event.event_id in seen)
            seen.add(event.event_id)
        return found

    def accept(self, events: Sequence[Sent], ids: Sequence[StreamId]) -> bool:
        """Takes accepted events; says whether the sequence number rises."""
        own = partition_of(self.name)
        self.seen.update(event.event_id for event in events)
        self.keep(
            [
                Kept(at, own, event.kind, event.item or "", event.value)
                for event, at in zip(events, ids, strict=True)
                if event.recent
            ]
        )
        for event in events:
            if event.unwanted is not None:
                self.refuse(dict([event.unwanted]))
        return any(event.raises for event in events)

    def take_over(self, other: ModelUser, sealed: StreamId) -> bool:
        """Applies a merge; says whether it had not been applied before."""
        if other.name in self.merged and self.merged[other.name] >= sealed:
            return False
        if other.recent:
            self.recent = sorted(self.recent + other.recent)
            self.keep([])
        self.drop(other.dropped)
        self.refuse(other.unwanted)
        for name, at in {**other.merged, other.name: sealed}.items():
            self.merged[name] = max(at, self.merged.get(name, at))
        return True

    def finished(self) -> None:
        """What was carried over is gone; ids of events, and the way to the other user, stay."""
        self.recent, self.dropped, self.unwanted, self.merged = [], None, {}, {}
        self.lists, self.marks, self.sequence = {}, {}, None
