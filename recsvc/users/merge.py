"""Merging a user into another: what somebody did before signing in moves to the account."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from recsvc.eventlog.event import MERGE, LogEvent, encode
from recsvc.store.errors import MergeCircle
from recsvc.store.following import MAX_MERGES
from recsvc.store.merge_lock import Holding, MergeLock
from recsvc.store.merging import Merging
from recsvc.store.profiles import Profiles
from recsvc.users.errors import MergeIntoItself, MergeRefused, UserBusy


@dataclass(frozen=True, slots=True)
class Merged:
    """`user_id` the account, merges followed. `changed` False where everything had been moved before. `events` recent
    events that were moved by this call."""

    user_id: str
    changed: bool
    events: int


class UserMerge:
    """Moves news, and the profile where the account has none.

    A call that ended in the middle is completed by the next one like it: each step may be repeated.
    """

    def __init__(
        self,
        merging: Merging,
        profiles: Profiles,
        lock: MergeLock,
        longest_way: Callable[[str], Awaitable[int]],
        clock: Callable[[], float],
    ) -> None:
        """`longest_way` gives the most merges in a row that lead to a user; `clock` Unix seconds."""
        self._merging = merging
        self._profiles = profiles
        self._lock = lock
        self._longest_way = longest_way
        self._clock = clock

    async def merge(self, source: str, into: str) -> Merged:
        """Merges `source` into `into`, or into whom that was merged into.

        Raises MergeIntoItself, MergeRefused, UserBusy and `StoreUnavailable`.
        """
        if source == into:
            raise MergeIntoItself(f"{source!r} cannot be merged into itself")
        async with self._lock.held() as held:
            return await self._merge(source, into, held)

    async def _merge(self, source: str, into: str, held: Holding) -> Merged:
        account = await self._root_of(into)
        now_is = await self._root_of(source)
        if account == source:
            raise MergeRefused(f"{into!r} was merged into {source!r} before; a user cannot be merged back")
        if now_is not in (source, account):
            raise MergeRefused(f"{source!r} was merged into another user before")
        if now_is == source:
            if await self._longest_way(source) >= MAX_MERGES:
                raise MergeRefused(
                    f"users were merged into {source!r} over {MAX_MERGES} merges in a row; no more are followed"
                )
            await self._hand_over_profile(source, account, held)
        held.check()
        sealed = await self._merging.seal(source, account, self._entry(source, account), held.until_ms)
        target = sealed.into
        for _ in range(1 + MAX_MERGES):
            applied = await self._merging.apply(target, sealed)
            if applied.moved_to is None:
                await self._merging.finish(source)
                return Merged(target, applied.changed, len(sealed.records) if applied.changed else 0)
            target = applied.moved_to
        raise UserBusy(f"{into!r} was merged into others again and again; send the merge again")

    async def _root_of(self, user_id: str) -> str:
        try:
            return await self._merging.root_of(user_id)
        except MergeCircle as circle:
            # Where the nodes of a cluster disagree on the time, or from a release that let it happen.
            await self._merging.untie(circle)
            return await self._merging.root_of(user_id)

    async def _hand_over_profile(self, source: str, account: str, held: Holding) -> None:
        profile = await self._profiles.get(source)
        if profile is not None:
            held.check()
            await self._profiles.compare_and_put(account, None, profile)
            held.check()  # one who woke late would delete the profile of somebody else's account
            await self._profiles.delete(source)

    def _entry(self, source: str, account: str) -> bytes:
        return encode(
            LogEvent(
                event_id=f"merge-{secrets.token_hex(16)}",
                type=MERGE,
                user_id=source,
                timestamp=self._clock(),
                target_type="user",
                target_id=account,
            )
        )
