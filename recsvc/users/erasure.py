"""Erasing a user: what is gone at once, and what goes later, each with its date (`docs/erasure.md`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from recsvc.bundle.errors import BundleError
from recsvc.bundle.reader import read_user_ids
from recsvc.bundle.registry import Registry
from recsvc.catalog.feed import LiveFeed
from recsvc.eventlog.tombstones import Tombstone, digest_of
from recsvc.store.erasing import Erased, Erasing

logger = logging.getLogger(__name__)

BUNDLE_DAYS: Final = 30
"""Bundles that hold an erased user leave the registry within this time."""

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Pending:
    """What is not gone yet. `until` when it will be (Unix seconds), None where that depends on what `why` says."""

    what: str
    until: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure did. `erased_at` Unix seconds, Redis' clock."""

    user_id: str
    erased_at: float
    gone: list[str]
    pending: list[Pending]


class UserErasure:
    """Erases users, and with each the users that were merged into that one."""

    def __init__(
        self,
        erasing: Erasing,
        merged_ids: Callable[[str], Awaitable[set[str]]],
        feed: LiveFeed,
        registry: Registry,
        *,
        flush_seconds: float,
    ) -> None:
        """`flush_seconds`: how long events wait at most before they are written to the log."""
        self._erasing = erasing
        self._merged_ids = merged_ids
        self._feed = feed
        self._registry = registry
        self._flush_seconds = flush_seconds

    async def erase(self, user_id: str) -> Receipt:
        """Erases the user; on return every process leaves the user out, or does within a poll, and the tombstones are
        on disk. A call that failed in the middle is completed by the next one. Raises `StoreUnavailable`, OSError.
        """
        erased = await self._erase_all(user_id)
        await self._feed.caught_up()
        holders = await asyncio.to_thread(self._holders, list(erased))
        return self._receipt(user_id, erased, holders)

    async def _erase_all(self, user_id: str) -> dict[str, Erased]:
        """Erases whoever was merged into the user first: until the user's own keys go, a repeated call finds them all
        again."""
        erased: dict[str, Erased] = {}
        left = await self._everyone(user_id)
        while left:
            one = left.pop()
            result = await self._erasing.erase(one, forget=one == user_id)
            tombstone = await self._feed.store.erase(Tombstone(digest_of(one), result.until, result.erased_at))
            erased[one] = replace(result, erased_at=tombstone.erased_at)
            # Some may have been merged meanwhile.
            left += [other for other in result.merged if other not in erased and other not in left]
        return erased

    async def _everyone(self, user_id: str) -> list[str]:
        found = [user_id]
        for one in found:
            found += sorted(await self._merged_ids(one) - set(found))
        return found

    def _holders(self, user_ids: Sequence[str]) -> list[str]:
        """The versions of the registry that know any of the users, newest first."""
        holders = []
        for version in self._registry.versions():
            try:
                known = read_user_ids(self._registry.path(version))
            except (BundleError, OSError) as exc:
                logger.warning("whether model %s knows an erased user could not be seen: %s", version, exc)
                continue
            if any(known.row_of(user_id) is not None for user_id in user_ids):
                holders.append(version)
        return holders

    def _receipt(self, user_id: str, erased: dict[str, Erased], holders: Sequence[str]) -> Receipt:
        at = max(one.erased_at for one in erased.values())
        others = [one for one in erased if one != user_id]
        keys = sum(one.keys for one in erased.values())
        gone = [
            "recent events, what was reported or not wanted, the profile and cached lists: "
            f"{keys} {'key' if keys == 1 else 'keys'} of the store",
            "events of the user that the log could not take and that were put aside, if there were any",
            "the user's part in every answer: every process leaves the user out of every model, old ones too, "
            "within a second",
        ]
        if others:
            gone.append(f"the same of the users that were merged into this one: {', '.join(sorted(others))}")
        pending = [*self._log(at), *(_bundle(version, at) for version in holders), _append_only(at)]
        into = erased[user_id].into
        if into is not None:
            pending.append(_taken_over(user_id, into, at))
        return Receipt(user_id, at, gone, pending)

    def _log(self, at: float) -> list[Pending]:
        return [
            Pending(
                "events that wait to be written to the log",
                at + max(_MINUTE, 2 * self._flush_seconds),
                "a worker drops them instead of writing them; if none runs now, as soon as one does",
            ),
            Pending(
                "rows of the event log, if there are any",
                at + _HOUR,
                "a worker removes them when it next goes over the files; training leaves them out from now on",
            ),
        ]


def _bundle(version: str, at: float) -> Pending:
    return Pending(
        f"model {version}",
        at + BUNDLE_DAYS * _DAY,
        "it was trained with the user; it answers as if it had not been, and leaves the registry by then, "
        "or, if it is the one in use, as soon as a newer one replaces it",
    )


def _append_only(at: float) -> Pending:
    return Pending(
        "earlier states of the keys in the store's append-only file",
        at + 2 * _HOUR,
        "they go when Redis next rewrites the file, which a worker asks for; of a Redis that refuses, and of backups "
        "and replicas, its own schedule counts",
    )


def _taken_over(user_id: str, into: str, at: float) -> Pending:
    return Pending(
        f"recent events that {into} took over from {user_id}",
        at + 30 * _DAY,
        f"{user_id} was merged into {into}, so they are that user's own; erase {into} to remove them now",
    )
