"""Merging a user into another: a sequence of steps, each atomic and repeatable, over two partitions."""

from __future__ import annotations

from dataclasses import dataclass

from recsvc.eventlog.position import StreamId, partition_of
from recsvc.store import keys
from recsvc.store.errors import MergeCircle, StoreUnavailable
from recsvc.store.following import follow
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.scripts import load_script


@dataclass(frozen=True, slots=True)
class Sealed:
    """A user that takes no more events. `into` whom it was merged into: another than asked for where that came first.

    `at` place of the entry in the user's stream that says so: the merge's identity. The rest is what is to be carried
    over, as Redis had it; empty once `finish` was called.
    """

    user_id: str
    into: str
    at: StreamId
    records: list[bytes]
    unwanted: dict[bytes, bytes]
    dropped: bytes | None
    merged: dict[bytes, bytes]
    unit: str
    """Whose id experiments hash for this user."""


@dataclass(frozen=True, slots=True)
class Applied:
    """`changed` False where it had been applied before. `moved_to` whom the target itself was merged into meanwhile:
    nothing was done, and the merge is to be applied there."""

    changed: bool
    moved_to: str | None


class Merging:
    """The steps: `seal`, `apply`, `finish`. After a crash the same sequence is gone through again from the start.

    Nothing is lost or doubled however often a step is repeated. Every method raises `StoreUnavailable`.
    """

    def __init__(self, pipeline: ScriptPipeline) -> None:
        self._pipeline = pipeline
        self._root = load_script("into")
        self._seal = load_script("seal")
        self._apply = load_script("apply")
        self._finish = load_script("finish")
        self._untie = load_script("untie")

    async def root_of(self, user_id: str) -> str:
        """Who the user is now, merges followed."""

        async def ask(candidate: str) -> tuple[bytes, None]:
            return await self._pipeline.call(self._root, (keys.state_key(candidate),), ()), None

        root, _ = await follow(user_id, ask)
        return root

    async def untie(self, circle: MergeCircle) -> None:
        """Makes the least of these users, by its id, the one that the others lead to; for who holds the merge lock."""
        least = min(circle.users)
        into = circle.users[(circle.users.index(least) + 1) % len(circle.users)]
        await self._pipeline.call(self._untie, (keys.state_key(least),), (into,))

    async def seal(self, user_id: str, into: str, payload: bytes, until_ms: int = 0) -> Sealed:
        """From here on the user's events are refused with the name of `into`; `payload`, the entry that tells the log,
        is added to the user's stream, once. A user that was merged already stays where it went (see `Sealed.into`).
        Raises ValueError when both are the same, and `StoreUnavailable` for a user not merged yet where Redis' clock
        has come to `until_ms` (0: never): the caller may hold the merge lock no more."""
        if user_id == into:
            raise ValueError(f"{user_id!r} cannot be merged into itself")
        names = (*keys.of_events(user_id)[0], keys.merged_key(user_id))
        reply = await self._pipeline.call(self._seal, names, (into, payload, until_ms))
        if reply is None:
            raise StoreUnavailable("a merge of users took too long; send it again")
        target, at, records, unwanted, dropped, merged, unit = reply
        return Sealed(
            user_id,
            target.decode("utf-8"),
            StreamId.parse(at),
            records,
            dict(zip(unwanted[::2], unwanted[1::2], strict=True)),
            dropped or None,
            dict(zip(merged[::2], merged[1::2], strict=True)),
            unit.decode("utf-8") or user_id,
        )

    async def apply(self, into: str, sealed: Sealed) -> Applied:
        """Adds to `into` what was sealed. `into` is `sealed.into`, or whom that was merged into since."""
        names = (keys.state_key(into), keys.recent_key(into), keys.unwanted_key(into), keys.merged_key(into))
        arguments: tuple[str | bytes | int, ...] = (
            sealed.user_id,
            str(sealed.at),
            partition_of(sealed.user_id),
            sealed.dropped or b"",
            len(sealed.records),
            len(sealed.unwanted),
            len(sealed.merged),
            sealed.unit,
            *sealed.records,
            *(part for pair in sealed.unwanted.items() for part in pair),
            *(part for pair in sealed.merged.items() for part in pair),
        )
        reply = await self._pipeline.call(self._apply, names, arguments)
        return Applied(reply == b"", reply.decode("utf-8") if isinstance(reply, bytes) and reply else None)

    async def finish(self, user_id: str) -> None:
        """Removes what was carried over; the duplicate filter stays, and the way to the other user."""
        names = (
            keys.state_key(user_id),
            keys.recent_key(user_id),
            keys.unwanted_key(user_id),
            keys.lists_key(user_id),
            keys.merged_key(user_id),
        )
        await self._pipeline.call(self._finish, names, ())
