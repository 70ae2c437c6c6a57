"""Cached candidate lists: read with the news of a user, else computed once for everybody who asks, and written."""

from __future__ import annotations

import asyncio
import hashlib
import math
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from recsvc.serving.cached_list import decode, encode
from recsvc.serving.candidates import CandidateList
from recsvc.serving.served import ServedModel
from recsvc.serving.singleflight import SingleFlight
from recsvc.store.errors import StoreUnavailable
from recsvc.store.user_state import UserRead, UserState
from recsvc.telemetry import Telemetry

_WAITS_SECONDS: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.1)
"""The pauses between looks for a list that another worker computes; then it is computed here all the same."""
_WRITE_SECONDS: Final = 0.1
"""Lists are written so often, all that were computed meanwhile together: Redis answers nobody while it flushes a write
to its disk, and lists in one write are flushed as one."""
_KEPT_SECONDS: Final = 0.05
"""A list stays at hand so long after it was written."""
_CHANGES_SECONDS: Final = 2.0
"""A list that is younger than a change of an item by no more than that may not know of it: its process may have read
the change later, and clocks differ."""

_DIGESTS_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class ListKey:
    """What a cached list depends on, beside the user's sequence number."""

    user_id: str
    model: str
    categories: tuple[str, ...]
    depth: int

    @property
    def digest(self) -> str:
        """All but the user, in 11 characters: it stands in Redis for each list."""
        return _digest(self.model, self.depth, self.categories)


@dataclass(frozen=True, slots=True)
class Found:
    """A list, and whether Redis took part: False is `degraded: cache`. `hidden` item rows of it do not come.

    `sequence` is the number at which it is the list of the user who was asked for, None where it is not known to be;
    `unit` whose id experiments hash for that user, where it is another one's; `shared` says that it is the list of all
    newcomers, good until `until` (Unix seconds) or a change of the catalogue.
    """

    candidates: CandidateList
    cached: bool
    hidden: frozenset[int] = frozenset()
    sequence: int | None = None
    unit: str | None = None
    shared: bool = False
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis has of a user: `found` where a list at hand is valid, else the news are in `read`. `others` says that
    another process computes the list right now."""

    read: UserRead
    found: Found | None
    others: bool = False


_Flight = tuple[ListKey, int | None]
"""A list at a sequence number, under the id that the user has now; None while Redis is away."""
Compute = Callable[[UserRead | None], Awaitable[CandidateList]]
"""Makes a list of the bundle and of the news, or, for None, of the bundle alone."""


class CandidateCache:
    """Reads through Redis. Without it every list is computed, still once for those who ask at the same moment.

    A computed list is answered at once and written afterwards; until it is written, who asks in this process at the
    same sequence number is given the list at hand, and other processes find the mark where there is one.
    """

    def __init__(self, state: UserState, telemetry: Telemetry, *, new_items_seconds: float) -> None:
        """A list older than `new_items_seconds` is computed again when items came since."""
        self._state = state
        self._new_items_seconds = new_items_seconds
        self._hits, self._misses = telemetry.cache.labels("hit"), telemetry.cache.labels("miss")
        self._unavailable = telemetry.cache.labels("unavailable")
        self._flights: SingleFlight[Found] = SingleFlight()
        self._unwritten: dict[_Flight, Found] = {}
        self._marked: dict[_Flight, asyncio.Event] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def look(self, key: ListKey, model: ServedModel, *, mark: bool) -> Look:
        """The list of `key`, or the news of which it is to be made. Raises `StoreUnavailable`.

        With `mark` the first to miss the list, in all processes, is the one to compute it. The mark is a write, which
        Redis answers once it is on disk: it pays for lists that take longer than that.
        """
        try:
            look = await self._look(key, model, mark=mark)
        except StoreUnavailable:
            self._unavailable.inc()
            raise
        if look.found is not None:
            self._hits.inc()
        return look

    async def compute(self, key: ListKey, model: ServedModel, look: Look, compute: Compute) -> Found:
        """The list of a `look` that found none, computed once and written. Raises only what `compute` raises."""
        self._misses.inc()
        read = look.read
        flight = _flight(key, read)
        marked = self._marked.setdefault(flight, asyncio.Event())
        if not look.others:
            # Of several askers in this process any may be the first here; the mark is good for the one who computes.
            marked.set()
        try:
            return await self._flights.run(flight, lambda: self._wait_or_compute(key, model, read, marked, compute))
        finally:
            self._marked.pop(flight, None)

    async def compute_alone(self, key: ListKey, compute: Compute) -> Found:
        """The list of the bundle alone, while Redis is away."""

        async def work() -> Found:
            return Found(await compute(None), cached=False)

        return await self._flights.run((key, None), work)

    def let_go(self, key: ListKey, read: UserRead) -> None:
        """Gives back the mark of a list that will not be written."""
        if read.mine:
            self._in_background(self._release(key, read))

    async def close(self) -> None:
        """Ends what is being computed, and lets the writes under way end."""
        await self._flights.close()
        await asyncio.gather(*self._writes)

    async def _look(self, key: ListKey, model: ServedModel, *, mark: bool) -> Look:
        read = await self._state.read(key.user_id, key.digest, mark=mark)
        outdated = read.cached is not None
        if read.cached is not None:
            candidates = decode(read.cached, model.bundle, model.view)
            if candidates is not None and self._is_good(candidates, read, model):
                return Look(read, Found(candidates, cached=True, sequence=own_sequence(key.user_id, read)))
            read = await self._state.read(key.user_id, None, mark=False)
        found = self._unwritten.get(_flight(key, read))
        if found is not None and not self._is_good(found.candidates, read, model):
            found = None
        return Look(read, found, others=mark and not read.mine and not outdated)

    def is_good(self, candidates: CandidateList, user_id: str, model: ServedModel, now: float) -> bool:
        """Whether the list is valid at `now` (Unix seconds), and nothing new could be in it, or it is too young to be
        looked at for that."""
        return _valid(candidates, user_id, model) and now < self.good_until(candidates, model, now)

    def good_until(self, candidates: CandidateList, model: ServedModel, now: float) -> float:
        """When the list is too old to lack what came since (Unix seconds); infinity while nothing came by `now`."""
        computed_at = candidates.computed_at or 0.0
        came = model.view.came_after(computed_at - _CHANGES_SECONDS, now)
        return computed_at + self._new_items_seconds if came else math.inf

    def _is_good(self, candidates: CandidateList, read: UserRead, model: ServedModel) -> bool:
        return self.is_good(candidates, read.user_id, model, read.read_at_ms / 1000)

    async def _wait_or_compute(
        self, key: ListKey, model: ServedModel, read: UserRead, marked: asyncio.Event, compute: Compute
    ) -> Found:
        try:
            look = await self._others(key, model, read, marked)
        except StoreUnavailable:
            self._unavailable.inc()
            return Found(await compute(read), cached=False)
        if look.found is not None:
            return look.found
        try:
            candidates = await compute(look.read)
            found = Found(candidates, cached=True, sequence=own_sequence(key.user_id, look.read))
        except BaseException:
            self._in_background(self._release(key, look.read))
            raise
        self._unwritten[_flight(key, look.read)] = found
        self._in_background(self._write(key, model, look.read, found))
        return found

    async def _others(self, key: ListKey, model: ServedModel, read: UserRead, marked: asyncio.Event) -> Look:
        """Waits for the list of another process; ends without one when it is this process' turn, and after a while."""
        look = Look(read, None, others=True)
        for pause in _WAITS_SECONDS:
            if marked.is_set() or look.found is not None or not look.others:
                break
            try:
                await asyncio.wait_for(marked.wait(), pause)
            except TimeoutError:
                look = await self._look(key, model, mark=True)
        return look

    async def _write(self, key: ListKey, model: ServedModel, read: UserRead, found: Found) -> None:
        try:
            if not read.mine:  # where there is a mark, other processes wait for the list
                await asyncio.sleep(_WRITE_SECONDS - asyncio.get_running_loop().time() % _WRITE_SECONDS)
            value = encode(found.candidates, model.bundle, model.view)
            await self._state.put_list(read.user_id, key.digest, read.sequence, value)
        except StoreUnavailable:
            self._unavailable.inc()
        finally:
            # Who looked before it was written, and hears of it now, still finds it here.
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._unwritten.pop, _flight(key, read), None)

    async def _release(self, key: ListKey, read: UserRead) -> None:
        try:
            await self._state.release(read.user_id, key.digest, read.sequence)
        except StoreUnavailable:
            # The mark goes by itself.
            self._unavailable.inc()

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        # The loop itself holds tasks weakly: one that nobody holds may be collected before its end.
        task = asyncio.ensure_future(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)


def normal(categories: Sequence[str]) -> tuple[str, ...]:
    """Categories in the one order in which they are part of a key."""
    return tuple(sorted(set(categories)))


@lru_cache(_DIGESTS_KEPT)
def _digest(model: str, depth: int, categories: tuple[str, ...]) -> str:
    text = "\0".join([model, str(depth), *categories])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def own_sequence(user_id: str, read: UserRead) -> int | None:
    """The sequence number of a read, where the user was not merged into another one."""
    return read.sequence if read.user_id == user_id else None


def _flight(key: ListKey, read: UserRead) -> _Flight:
    return replace(key, user_id=read.user_id), read.sequence


def _valid(candidates: CandidateList, user_id: str, model: ServedModel) -> bool:
    """Whether nothing of an erased user is in the list, and none of its items changed since it was computed."""
    computed_at = candidates.computed_at or 0.0
    tombstone = model.erasures.of(user_id)
    if tombstone is not None and computed_at <= tombstone.erased_at:
        return False
    if candidates.of_history and model.hides(user_id):
        # Of a process that had not heard of the erasure yet.
        return False
    return not model.view.changed_after(candidates.rows.tolist(), computed_at - _CHANGES_SECONDS)
