"""Erasure of a user from Redis."""

from __future__ import annotations

from dataclasses import dataclass

from recsvc.eventlog.position import StreamId, partition_of
from recsvc.store import keys
from recsvc.store.errors import MergeCircle
from recsvc.store.following import follow
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.scripts import load_script


@dataclass(frozen=True, slots=True)
class Erased:
    """`until` the last entry of the partition's stream at that moment, `erased_at` Unix seconds of Redis' clock, `keys`
    how many keys were deleted. `into` whom the user had been merged into, `merged` who had been merged into the user:
    they are users of their own, erased by calls of their own."""

    until: StreamId
    erased_at: float
    keys: int
    into: str | None
    merged: frozenset[str]


class Erasing:
    """Deletes everything that Redis has of a user.

    Entries still in the partition's stream stay there, unread: the tombstone that the caller writes (`until`) has the
    worker leave them out of the log.
    """

    def __init__(self, pipeline: ScriptPipeline) -> None:
        self._pipeline = pipeline
        self._erase = load_script("erase")
        self._forget = load_script("forget_merged")
        self._root = load_script("into")

    async def erase(self, user_id: str, *, forget: bool = True) -> Erased:
        """Deletes the keys of exactly this id, one that was merged into another too, and the user's dead letters; the
        id may come back as a new user. Without `forget` the other user still counts it among those merged into it, so
        that a caller who goes on to erase that one finds it again. Raises `StoreUnavailable`; it may be called again.
        """
        into, _ = await self._into(user_id)
        if into and forget:
            # First the trace at the other user: once the keys are gone, nothing tells where that is.
            for root in await self._roots(into.decode("utf-8")):
                await self._pipeline.call(self._forget, (keys.merged_key(root), keys.state_key(root)), (user_id,))
        partition = partition_of(user_id)
        names = (
            keys.log_key(partition),
            keys.dead_key(partition),
            keys.state_key(user_id),
            keys.recent_key(user_id),
            keys.unwanted_key(user_id),
            keys.lists_key(user_id),
            keys.profile_key(user_id),
            keys.merged_key(user_id),
        )
        arguments = (user_id, *keys.filter_affixes(user_id))
        until, now, deleted, into, merged = await self._pipeline.call(self._erase, names, arguments)
        return Erased(
            StreamId.parse(until),
            int(now) / 1_000_000,
            int(deleted),
            into.decode("utf-8") or None,
            frozenset(member.decode("utf-8") for member in merged),
        )

    async def _roots(self, user_id: str) -> tuple[str, ...]:
        try:
            return ((await follow(user_id, self._into))[0],)
        except MergeCircle as circle:
            return circle.users

    async def _into(self, user_id: str) -> tuple[bytes, None]:
        return await self._pipeline.call(self._root, (keys.state_key(user_id),), ()), None
