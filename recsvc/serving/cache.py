"""Cached candidate lists: read, else computed once for everybody who asks, and written."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from recsvc.serving.cached_list import decode, encode
from recsvc.serving.candidates import CandidateList
from recsvc.serving.singleflight import SingleFlight
from recsvc.store.errors import StoreUnavailable
from recsvc.store.recommendations import RecommendationCache
from recsvc.telemetry import Telemetry

_MARK_MILLISECONDS: Final = 2_000
"""A worker that dies while computing holds the others up for so long at most, if they did not give up before."""
_WAITS_SECONDS: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.1)
"""The pauses between looks for a list that another worker computes; then it is computed here all the same."""


@dataclass(frozen=True, slots=True)
class ListKey:
    """What a cached list depends on. `n_items` of the model bounds the rows in it."""

    user_id: str
    model: str
    categories: tuple[str, ...]
    depth: int
    n_items: int

    @property
    def digest(self) -> str:
        """The parameters in 16 hexadecimal characters."""
        text = "\0".join([str(self.depth), *self.categories])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """A list, and whether Redis took part: False is `degraded: cache`."""

    candidates: CandidateList
    cached: bool


class CandidateCache:
    """Reads through Redis. Without it every list is computed, still once for those who ask at the same moment.

    A computed list is answered at once and written afterwards; until it is written, who asks in this process is
    given the list at hand, and other processes find the mark.
    """

    def __init__(self, store: RecommendationCache, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self._flights: SingleFlight[Found] = SingleFlight()
        self._unwritten: dict[ListKey, Found] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def get(self, key: ListKey, compute: Callable[[], Awaitable[CandidateList]]) -> Found:
        """The list of `key`, from the cache or from `compute`. Raises only what `compute` raises."""
        at_hand = self._unwritten.get(key)
        if at_hand is not None:
            self._telemetry.cache.labels("hit").inc()
            return at_hand
        return await self._flights.run(key, lambda: self._read_or_compute(key, compute))

    async def close(self) -> None:
        """Ends what is being computed, and lets the writes under way end."""
        await self._flights.close()
        await asyncio.gather(*self._writes)

    async def _read_or_compute(self, key: ListKey, compute: Callable[[], Awaitable[CandidateList]]) -> Found:
        try:
            known = await self._read(key)
            if known is not None:
                self._telemetry.cache.labels("hit").inc()
                return Found(known, cached=True)
            self._telemetry.cache.labels("miss").inc()
            mine, known = await self._mine_or_others(key)
        except StoreUnavailable:
            self._telemetry.cache.labels("unavailable").inc()
            return Found(await compute(), cached=False)
        if known is None:
            return await self._compute_and_write(key, compute, mine=mine)
        if mine:
            self._in_background(self._let_go(key))
        return Found(known, cached=True)

    async def _mine_or_others(self, key: ListKey) -> tuple[bool, CandidateList | None]:
        """Whether this worker holds the mark, and the list if another one has written it in the meantime."""
        mine = await self._store.acquire(key.user_id, key.model, key.digest, _MARK_MILLISECONDS)
        if mine:
            # Between the miss and the mark another worker may have written and let go.
            return True, await self._read(key)
        for pause in _WAITS_SECONDS:
            await asyncio.sleep(pause)
            known = await self._read(key)
            if known is not None:
                return False, known
        return False, None

    async def _compute_and_write(
        self, key: ListKey, compute: Callable[[], Awaitable[CandidateList]], *, mine: bool
    ) -> Found:
        try:
            found = Found(await compute(), cached=True)
        except BaseException:
            if mine:
                self._in_background(self._let_go(key))
            raise
        self._unwritten[key] = found
        self._in_background(self._write(key, found, mine=mine))
        return found

    async def _write(self, key: ListKey, found: Found, *, mine: bool) -> None:
        try:
            await self._store.put(key.user_id, key.model, key.digest, encode(found.candidates))
        except StoreUnavailable:
            self._telemetry.cache.labels("unavailable").inc()
        finally:
            del self._unwritten[key]
        if mine:
            await self._let_go(key)

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        # The loop itself holds tasks weakly: one that nobody holds may be collected before its end.
        task = asyncio.ensure_future(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _let_go(self, key: ListKey) -> None:
        try:
            await self._store.release(key.user_id, key.model, key.digest)
        except StoreUnavailable:
            # The mark goes by itself.
            self._telemetry.cache.labels("unavailable").inc()

    async def _read(self, key: ListKey) -> CandidateList | None:
        data = await self._store.get(key.user_id, key.model, key.digest)
        return None if data is None else decode(data, key.n_items)


def normal(categories: Sequence[str]) -> tuple[str, ...]:
    """Categories in the one order in which they are part of a key."""
    return tuple(sorted(set(categories)))
