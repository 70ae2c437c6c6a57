"""What is known of a user this moment: news, sequence number, cached lists, who computes one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from recsvc.eventlog.position import StreamId, partition_of
from recsvc.store import keys
from recsvc.store.following import follow
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.records import RecentEvent, unpack_all
from recsvc.store.scripts import load_script

MARK_MILLISECONDS: Final = 2_000
"""A process that dies while it computes a list holds the others up for so long at most."""

_HIT_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class UserNews:
    """What happened lately. `events` oldest first; `dropped` partition and stream id of the newest that no longer fits;
    `unwanted` `c:`, `t:` and `r:` fields (see `keys.unwanted_key`) → Unix seconds; `profile` the parsed JSON."""

    events: list[RecentEvent]
    dropped: tuple[int, StreamId] | None
    unwanted: dict[str, float]
    profile: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class UserRead:
    """`user_id` who the user is now, merges followed. `sequence` 0 for a user without state. `read_at_ms` Redis' clock.

    `cached` the list computed at this sequence number; `mine` whether the caller is the one to compute it; `news` None
    where `cached` is there. `unit` whose id experiments hash for the user, where that is another one's.
    """

    user_id: str
    sequence: int
    read_at_ms: int
    cached: bytes | None
    mine: bool
    news: UserNews | None
    unit: str | None = None


class UserState:
    """Reads and cached lists of users. Every method is one round trip for each merge it follows, and raises
    `StoreUnavailable`."""

    def __init__(self, pipeline: ScriptPipeline, event_types: Sequence[str], *, list_ttl_seconds: int) -> None:
        """`event_types` in the order of their codes."""
        self._pipeline = pipeline
        self._event_types = tuple(event_types)
        self._list_ttl_ms = list_ttl_seconds * 1000
        self._read = load_script("read")
        self._put_list = load_script("put_list")
        self._release = load_script("release")

    async def read(self, user_id: str, digest: str | None, *, mark: bool = True) -> UserRead:
        """The cached list of `digest` if there is a valid one, else the news.

        On a miss, and with `mark`, the first caller at a sequence number is told that the list is its to compute; the
        mark lives two seconds. Without a digest the news are read, and nothing is marked.
        """
        arguments = (digest or "", MARK_MILLISECONDS if mark and digest else 0, self._list_ttl_ms)

        async def read_one(candidate: str) -> tuple[bytes, list[Any]]:
            reply = await self._pipeline.call(self._read, keys.of_reads(candidate), arguments)
            return reply[1], reply

        root, reply = await follow(user_id, read_one)
        news = None if len(reply) == _HIT_LENGTH else self._news(root, *reply[6:])
        unit = reply[5].decode("utf-8") or None
        return UserRead(root, int(reply[2]), int(reply[0]), reply[3], bool(reply[4]), news, unit)

    async def put_list(self, user_id: str, digest: str, sequence: int, value: bytes) -> None:
        """Caches a list computed at `sequence` for 90 to 100 % of the TTL and takes the mark away; nothing where the
        user's sequence number is another by now. `user_id` and `sequence` are those of `read`."""
        # What was cached together must not expire together.
        life = max(1, int(self._list_ttl_ms * random.uniform(0.9, 1.0)))  # noqa: S311
        names = (keys.state_key(user_id), keys.lists_key(user_id))
        await self._pipeline.call(self._put_list, names, (digest, sequence, value, life, self._list_ttl_ms))

    async def release(self, user_id: str, digest: str, sequence: int) -> None:
        """Takes away the mark of `sequence`."""
        await self._pipeline.call(self._release, (keys.lists_key(user_id),), (digest, sequence))

    def _news(
        self, user_id: str, records: list[bytes], dropped: bytes, unwanted: list[bytes], profile: bytes | None
    ) -> UserNews:
        return UserNews(
            unpack_all(records, partition_of(user_id), self._event_types),
            _place(dropped) if dropped else None,
            {
                field.decode("utf-8"): int(milliseconds) / 1000
                for field, milliseconds in zip(unwanted[::2], unwanted[1::2], strict=True)
            },
            None if profile is None else orjson.loads(profile),
        )


def _place(text: bytes) -> tuple[int, StreamId]:
    partition, _, at = text.partition(b":")
    return int(partition), StreamId.parse(at)
