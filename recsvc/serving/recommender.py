"""The conductor: from a request to the page that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

from recsvc.bundle.errors import VersionUnknown
from recsvc.experiments.assignment import Who
from recsvc.experiments.exploring import POOL
from recsvc.serving import cursor as cursors
from recsvc.serving import sources
from recsvc.serving.answer import Answer, Filters, SimilarUsers
from recsvc.serving.cache import CandidateCache, Found, normal
from recsvc.serving.candidates import Source
from recsvc.serving.computing import Computing
from recsvc.serving.cursor import LONGEST_LIST, Cursor
from recsvc.serving.degraded import Degraded
from recsvc.serving.errors import ItemUnknown, LiveDataMissing, ParameterInvalid
from recsvc.serving.experimenting import NO_PART, Experimenting, Part
from recsvc.serving.knowledge import Session, of_session
from recsvc.serving.mixing import degraded_of, explored, interleaved, item_ids
from recsvc.serving.models import ModelPool
from recsvc.serving.paging import Page, cut, depths
from recsvc.serving.personal import PersonalLists
from recsvc.serving.served import ServedModel
from recsvc.telemetry import Telemetry
from recsvc.tokens import Mark, Stamp, TokenSigner

_OF_THE_USER: Final = frozenset({Degraded.FOLD_IN, Degraded.HISTORY})
"""What fell back for the whole list, whatever of it a page shows."""
_FEW_CHANGES: Final = 200
"""So many changes of the catalogue are taken in at once; the event loop does not wait for more."""


class Recommender:
    """Answers requests. Each takes its model once, at the start, and uses no other."""

    def __init__(
        self,
        pool: ModelPool,
        cache: CandidateCache,
        signer: TokenSigner,
        computing: Computing,
        telemetry: Telemetry,
        clock: Callable[[], float],
        known: Callable[[], bool],
        experimenting: Experimenting,
    ) -> None:
        """`clock` gives Unix seconds; `known` says whether the hidden items and the erased users are known."""
        self._pool = pool
        self._signer = signer
        self._telemetry = telemetry
        self._clock = clock
        self._known = known
        self._experimenting = experimenting
        self._computing = computing
        self._personal = PersonalLists(cache, self._computing, clock)
        self._catching_up = asyncio.Lock()
        self._chance = Random()  # noqa: S311 - nothing is secret here

    async def recommend(self, user_id: str, filters: Filters, taken: Sequence[str] = ()) -> Answer:
        """A page for a user; `taken` item ids were handed out elsewhere and do not come.

        A user that was merged into another one is answered as that one. Raises NoModel, LiveDataMissing,
        ParameterInvalid (cursor, model, variant, assigned), BundleCorrupt and FormatUnsupported for `model=`.
        """
        who = Who(user_id, filters.unit_id)
        part = await self._part(who, filters)
        answer = await self._to_user(user_id, filters, taken, part)
        if answer.found is not None and answer.found.unit is not None:
            # Who the account began as stands beside its list: seldom, the variant turns out to be another one.
            own = await self._part(who._replace(began_as=answer.found.unit), filters)
            if own.arms != part.arms:
                part, answer = own, await self._to_user(user_id, filters, taken, own)
        self._telemetry.count_arms(part.arms)
        return answer

    async def _to_user(self, user_id: str, filters: Filters, taken: Sequence[str], part: Part) -> Answer:
        if part.teams is None:
            return await self._of_model(user_id, filters, taken, part, part.model)
        first, second = await asyncio.gather(
            *(self._of_model(user_id, filters, taken, part, model) for model in part.teams)
        )
        cursor = cursors.decode(filters.cursor, filters.categories)
        sequence = None if first.found is None else first.found.sequence
        seed = repr((part.arms, user_id, sequence, len(cursor.shown)))
        mixed, names, marks = interleaved(first, second, filters.limit, seed)
        left = len(names) < len({*item_ids(first), *item_ids(second)})
        more = left or first.page.more or second.page.more
        followed = cursor.followed_by(name.encode("utf-8") for name in names)
        stamp = self._stamp(first.model, filters, user_id, part, marks)
        return replace(
            first,
            mixed=mixed,
            stamp=stamp,
            recommendation_id=stamp.issue(int(self._clock())).decode("ascii"),
            next_cursor=cursors.encode(followed, filters.categories) if more and not followed.ended else None,
            degraded=degraded_of(first, second, names, filters.limit),
        )

    async def _of_model(
        self, user_id: str, filters: Filters, taken: Sequence[str], part: Part, model_of_part: ServedModel | None
    ) -> Answer:
        model = await self._model(filters, model_of_part)
        candidates = partial(self._personal.get, model, user_id, normal(filters.categories))
        hidden = model.view.rows_of((*filters.exclude, *taken))
        filtered = bool(filters.categories or filters.exclude or taken)
        return await self._answer(model, filters, candidates, hidden, filtered=filtered, user_id=user_id, part=part)

    async def recommend_to_session(self, session: Session, filters: Filters) -> Answer:
        """A page for somebody known by the events sent alone; nothing is stored. Raises as `recommend` does."""
        model = await self._model(filters)
        now = self._clock()
        known, unknown = of_session(model, session, now)

        async def candidates(depth: int) -> Found:
            compute = partial(sources.for_user, model, known, normal(filters.categories), depth, now)
            return Found(await self._computing.list_of(compute), cached=True)

        hidden = model.view.rows_of(filters.exclude)
        filtered = bool(filters.categories or filters.exclude)
        answer = await self._answer(model, filters, candidates, hidden, filtered=filtered, user_id=None)
        return replace(answer, unknown_items=unknown)

    async def everybodys(self, source: Source, filters: Filters) -> Answer:
        """The head of the popular, trending or latest list. Raises as `recommend` does."""
        model = await self._model(filters)
        categories = normal(filters.categories)

        async def candidates(depth: int) -> Found:
            compute = partial(sources.everybodys, model, source, categories, depth, self._clock())
            return Found(await self._computing.run(compute), cached=True)

        filtered = bool(categories)
        return await self._answer(model, filters, candidates, frozenset(), filtered=filtered, user_id=None)

    async def like_item(self, item_id: str, filters: Filters) -> Answer:
        """Items like this one, which need not be one of the model's. Raises ItemUnknown, and as `recommend` does."""
        model = await self._model(filters)
        row = model.view.row_of(item_id)
        live = None if row is None else model.view.live(row)
        if row is None or (live is not None and live.deleted):
            raise ItemUnknown(item_id, model.version)

        async def candidates(depth: int) -> Found:
            compute = partial(sources.like_item, model, row, depth, self._clock())
            return Found(await self._computing.run(compute), cached=True)

        return await self._answer(model, filters, candidates, frozenset(), filtered=False, user_id=None)

    async def like_user(self, user_id: str, filters: Filters) -> SimilarUsers:
        """Users like this one; nobody, and `degraded` says so, for a user nothing is known of."""
        model = await self._model(filters)
        row = model.user_row(user_id)
        found = [] if row is None else await self._computing.run(partial(sources.like_user, model, row, filters.limit))
        degraded = [] if len(found) == filters.limit else [Degraded.NEW_USER if row is None else Degraded.END_OF_LIST]
        self._count(degraded)
        return SimilarUsers(model, found, degraded)

    async def close(self) -> None:
        """Ends what is under way."""
        await self._personal.close()

    async def _part(self, who: Who, filters: Filters) -> Part:
        if filters.model is None:
            return await self._experimenting.of_request(who, filters.chosen)
        if filters.chosen is not None:
            raise ParameterInvalid("model", "cannot be chosen together with a variant, which has a model; send one")
        return NO_PART

    async def _model(self, filters: Filters, of_variant: ServedModel | None = None) -> ServedModel:
        if not self._known():
            raise LiveDataMissing
        try:
            model = of_variant or await self._pool.get(filters.model)
        except VersionUnknown as exc:
            raise ParameterInvalid("model", str(exc)) from exc
        if 0 < model.view.behind <= _FEW_CHANGES:
            model.view.refresh()
        elif model.view.behind:
            async with self._catching_up:
                await self._computing.run(model.view.refresh, must=True)
        return model

    async def _answer(
        self,
        model: ServedModel,
        filters: Filters,
        candidates: Callable[[int], Awaitable[Found]],
        hidden: Set[int],
        *,
        filtered: bool,
        user_id: str | None,
        part: Part = NO_PART,
    ) -> Answer:
        seen = model.seen
        cursor = cursors.decode(filters.cursor, filters.categories)
        exploration = part.exploration
        wanted = max(filters.limit, POOL) if exploration else filters.limit
        page, found = await self._page(model, wanted, candidates, hidden, cursor)
        marks: list[tuple[str, Mark]] = []
        if exploration:
            page, marks = explored(page, model.view, filters.limit, exploration, self._chance)
        degraded = _degraded(page, cached=found.cached)
        if len(page.positions) < filters.limit:
            degraded.append(Degraded.FILTERS if filtered and not cursor.shown else Degraded.END_OF_LIST)
        if part.fell_back:
            degraded.append(Degraded.EXPERIMENT)
        self._count(degraded)
        stamp = self._stamp(model, filters, user_id, part, marks)
        return Answer(
            model=model,
            page=page,
            recommendation_id=stamp.issue(int(self._clock())).decode("ascii"),
            stamp=stamp,
            seen=seen,
            next_cursor=_next(model, page, cursor, filters.categories),
            degraded=degraded,
            user_id=user_id,
            unnamed=model.view.not_shown(page.named, self._clock()),
            found=found,
            part=part,
        )

    def _stamp(
        self, model: ServedModel, filters: Filters, user_id: str | None, part: Part, marks: Sequence[tuple[str, Mark]]
    ) -> Stamp:
        return self._signer.stamp(
            placement=filters.placement,
            model_version=model.version,
            user_id=user_id or "",
            experiments=part.arms,
            marks=marks,
        )

    async def _page(
        self,
        model: ServedModel,
        limit: int,
        candidates: Callable[[int], Awaitable[Found]],
        hidden: Set[int],
        cursor: Cursor,
    ) -> tuple[Page, Found]:
        """The page, and the list it was cut from; Redis took part in that only where it did in every list before."""
        page: Page | None = None
        cached = True
        for depth in depths(len(cursor.shown) + limit):
            found = await candidates(depth)
            cached = cached and found.cached
            # A cached list may name what was hidden, or has expired, since.
            not_shown = model.view.not_shown(found.candidates.rows.tolist(), self._clock())
            page = cut(
                found.candidates,
                model.view,
                hidden=hidden | found.hidden | not_shown,
                cursor=cursor,
                limit=limit,
                deepest=depth == LONGEST_LIST,
            )
            if len(page.positions) == limit or not page.more:
                break
        assert page is not None  # noqa: S101 - `depths` gives at least one
        return page, found if found.cached == cached else replace(found, cached=cached)

    def _count(self, degraded: Sequence[Degraded]) -> None:
        for part in degraded:
            self._telemetry.degraded.labels(part.value).inc()


def _degraded(page: Page, *, cached: bool) -> list[Degraded]:
    """What fell back in this page: a fallback of the list that the page does not show is none."""
    filled = Source.POPULAR in page.sources
    own = [part for part in page.candidates.degraded if filled or part in _OF_THE_USER]
    return own if cached else [Degraded.CACHE, *own]


def _next(model: ServedModel, page: Page, cursor: Cursor, categories: Sequence[str]) -> str | None:
    if not page.more:
        return None
    return cursors.encode(cursor.followed_by(model.view.all_bytes(page.rows)), categories)
