"""The lists of users: the cached one, else one made of what is known of the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from recsvc.serving import sources
from recsvc.serving.cache import CandidateCache, Compute, Found, ListKey, Look, own_sequence
from recsvc.serving.candidates import CandidateList
from recsvc.serving.computing import Computing
from recsvc.serving.knowledge import Knowledge, is_empty, of_history, of_user
from recsvc.serving.paging import DEPTHS
from recsvc.serving.served import ServedModel
from recsvc.serving.singleflight import SingleFlight
from recsvc.store.errors import StoreUnavailable
from recsvc.store.user_state import UserRead


class PersonalLists:
    """One list for each user, model and set of categories. Users nothing is known of share one list."""

    def __init__(self, cache: CandidateCache, computing: Computing, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._cache = cache
        self._computing = computing
        self._clock = clock
        self._newcomers: SingleFlight[CandidateList] = SingleFlight()

    async def get(self, model: ServedModel, user_id: str, categories: tuple[str, ...], depth: int) -> Found:
        """The list at the user's present sequence number, `depth` candidates long where there are as many."""
        key = ListKey(user_id, model.version, categories, depth)
        stored = of_history(model.history(user_id))
        compute = partial(self._compute, model, key)
        try:
            look = await self._cache.look(key, model, mark=stored.has_positive and depth > DEPTHS[0])
        except StoreUnavailable:
            if stored.has_positive:
                return await self._cache.compute_alone(key, compute)
            return await self._shared(model, key, stored, None)
        found = look.found or await self._missed(model, key, stored, look, compute)
        return found if look.read.unit is None else replace(found, unit=look.read.unit)

    async def close(self) -> None:
        """Ends what is under way."""
        await self._newcomers.close()

    async def _missed(self, model: ServedModel, key: ListKey, stored: Knowledge, look: Look, compute: Compute) -> Found:
        if look.read.user_id != key.user_id:
            stored = of_history(model.history(look.read.user_id))
        if not stored.has_positive and is_empty(look.read.news):
            self._cache.let_go(key, look.read)
            return await self._shared(model, key, stored, look.read)
        return await self._cache.compute(key, model, look, compute)

    async def _compute(self, model: ServedModel, key: ListKey, read: UserRead | None) -> CandidateList:
        now = self._clock()

        def work() -> CandidateList:
            if read is None or read.news is None:
                known = of_history(model.history(key.user_id))
            else:
                known = of_user(model, read.user_id, read.news, now)
            candidates = sources.for_user(model, known, key.categories, key.depth, now)
            return replace(candidates, of_history=known.row is not None)

        candidates = await self._computing.list_of(work)
        return candidates if read is None else replace(candidates, computed_at=read.read_at_ms / 1000)

    async def _shared(self, model: ServedModel, key: ListKey, stored: Knowledge, read: UserRead | None) -> Found:
        # The list is everybody's, so what this user disliked is left out of the page instead.
        until, candidates = await self._newcomer(model, key.categories, key.depth)
        return Found(
            candidates,
            cached=read is not None,
            hidden=frozenset(stored.consumed.tolist()),
            sequence=None if read is None else own_sequence(key.user_id, read),
            shared=True,
            until=until,
        )

    async def _newcomer(
        self, model: ServedModel, categories: tuple[str, ...], depth: int
    ) -> tuple[float, CandidateList]:
        """The list, and until when it is good (Unix seconds) if the catalogue does not change."""
        now = self._clock()
        known = model.newcomers(categories, depth, now)
        if known is not None:
            return known
        version, until = model.view.version, model.view.next_publication(now)
        work = partial(sources.for_newcomer, model, categories, depth, now)
        flight = (model.version, version, until, categories, depth)
        candidates = await self._newcomers.run(flight, partial(self._computing.list_of, work))
        model.keep_newcomers(categories, depth, candidates, version=version, until=until)
        return until, candidates
