"""The conductor: from a request to the page that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from recsvc.bundle.errors import VersionUnknown
from recsvc.experiments.assignment import Assigned, Who
from recsvc.experiments.targeting import NO_TRAITS, Traits
from recsvc.serving import cursor as cursors
from recsvc.serving import sources
from recsvc.serving.cache import CandidateCache, Found, normal
from recsvc.serving.candidates import Source
from recsvc.serving.cursor import LONGEST_LIST, Cursor
from recsvc.serving.degraded import Degraded
from recsvc.serving.errors import ItemUnknown, LiveDataMissing, ParameterInvalid
from recsvc.serving.experimenting import NO_PART, Chosen, Experimenting, Part
from recsvc.serving.knowledge import Session, of_session
from recsvc.serving.models import ModelPool
from recsvc.serving.paging import Page, cut, depths
from recsvc.serving.personal import Computing, PersonalLists
from recsvc.serving.served import ServedModel
from recsvc.telemetry import Telemetry
from recsvc.tokens import Stamp, TokenSigner

_OF_THE_USER: Final = frozenset({Degraded.FOLD_IN, Degraded.HISTORY})
"""What fell back for the whole list, whatever of it a page shows."""
_BY_MODEL: Final = frozenset(source.value for source in Source if source.by_model)
_FEW_CHANGES: Final = 200
"""So many changes of the catalogue are taken in at once; the event loop does not wait for more."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What one request asks of its list, whoever it is for."""

    limit: int = 20
    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    cursor: str | None = None
    model: str | None = None
    placement: str = "home"
    """Where the answer goes, for its token; each resource has its own."""
    unit_id: str | None = None
    """What experiments hash that do not go by the user."""
    chosen: Chosen | None = None
    """A variant that the caller names."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of one model, ready to be rendered. `unknown_items` are a session's item ids that are not known.

    `stamp` issues further tokens for the same.
    """

    model: ServedModel
    page: Page
    recommendation_id: str
    stamp: Stamp
    next_cursor: str | None
    degraded: list[Degraded]
    user_id: str | None = None
    unknown_items: list[str] = field(default_factory=list)
    unnamed: Set[int] = frozenset()
    """Rows that reasons name and the answer must not: items that may not be shown."""
    part: Part = NO_PART
    found: Found | None = None
    """The list that the page was cut from, where it is a user's."""

    @property
    def named_rows(self) -> tuple[int, ...]:
        """The rows of the items that the answer names, in its reasons too."""
        shown = self.page.candidates.rows[self.page.positions].tolist()
        return (*shown, *(row for row in _named(self.page) if row >= 0 and row not in self.unnamed))


@dataclass(frozen=True, slots=True)
class SimilarUsers:
    """Users near another one: (user row, cosine), best first."""

    model: ServedModel
    users: list[tuple[int, float]]
    degraded: list[Degraded] = field(default_factory=list)


class Recommender:
    """Answers requests. Each takes its model once, at the start, and uses no other."""

    def __init__(
        self,
        pool: ModelPool,
        cache: CandidateCache,
        signer: TokenSigner,
        executor: Executor,
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
        self._computing = Computing(executor, telemetry)
        self._personal = PersonalLists(cache, self._computing, clock)
        self._catching_up = asyncio.Lock()

    def assign(self, user_id: str, unit_id: str | None = None, traits: Traits = NO_TRAITS) -> Assigned:
        """The variants that `recommend` gives the user where the request names none: no I/O, a few microseconds."""
        return self._experimenting.assign(Who(user_id, unit_id), traits)

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
        model = await self._model(filters, part.model)
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
            experimenting = self._experimenting
            assigned = await experimenting.of_request(who, filters.chosen)
            return experimenting.part(assigned, chosen=filters.chosen is not None)
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
                await self._computing.run(model.view.refresh)
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
        cursor = cursors.decode(filters.cursor, filters.categories)
        page, found = await self._page(model, filters.limit, candidates, hidden, cursor)
        degraded = _degraded(page, cached=found.cached)
        if len(page.positions) < filters.limit:
            degraded.append(Degraded.FILTERS if filtered and not cursor.shown else Degraded.END_OF_LIST)
        if part.fell_back:
            degraded.append(Degraded.EXPERIMENT)
        self._count(degraded)
        stamp = self._signer.stamp(
            placement=filters.placement,
            model_version=model.version,
            user_id=user_id or "",
            experiments=part.arms,
        )
        return Answer(
            model=model,
            page=page,
            recommendation_id=stamp.issue(int(self._clock())).decode("ascii"),
            stamp=stamp,
            next_cursor=_next(model, page, cursor, filters.categories),
            degraded=degraded,
            user_id=user_id,
            unnamed=model.view.not_shown(_named(page), self._clock()),
            found=found,
            part=part,
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


def _named(page: Page) -> list[int]:
    """The rows of the items in the reasons of the page."""
    reasons, sources_of = page.candidates.reasons, page.candidates.sources
    return [row for position in page.positions if sources_of[position] in _BY_MODEL for row in reasons[position]]


def _degraded(page: Page, *, cached: bool) -> list[Degraded]:
    """What fell back in this page: a fallback of the list that the page does not show is none."""
    filled = any(page.candidates.sources[position] == Source.POPULAR for position in page.positions)
    own = [part for part in page.candidates.degraded if filled or part in _OF_THE_USER]
    return own if cached else [Degraded.CACHE, *own]


def _next(model: ServedModel, page: Page, cursor: Cursor, categories: Sequence[str]) -> str | None:
    if not page.more:
        return None
    shown = (model.view.bytes_at(int(page.candidates.rows[position])) for position in page.positions)
    return cursors.encode(cursor.followed_by(shown), categories)
