"""The conductor: from a request to the page that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import numpy as np

from recsvc.bundle.errors import VersionUnknown
from recsvc.bundle.types import Float32, Float64, Int32
from recsvc.scoring.confidence import session_confidence
from recsvc.serving import cursor as cursors
from recsvc.serving import sources
from recsvc.serving.cache import CandidateCache, Found, ListKey, normal
from recsvc.serving.candidates import CandidateList, Source
from recsvc.serving.cursor import LONGEST_LIST, Cursor
from recsvc.serving.degraded import Degraded
from recsvc.serving.errors import ItemUnknown, ParameterInvalid
from recsvc.serving.models import ModelPool
from recsvc.serving.paging import Page, cut, depths
from recsvc.serving.served import History, ServedModel
from recsvc.serving.singleflight import SingleFlight
from recsvc.tokens import TokenSigner
from recsvc.telemetry import Telemetry

T = TypeVar("T")
NOT_CONSUMED: Final = frozenset({"impression"})
"""Event types of a session after which an item may still be recommended."""


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


@dataclass(frozen=True, slots=True)
class Session:
    """Events of somebody anonymous, in columns: n item ids and types; `values` float32 (n,) and `timestamps`
    float64 (n,) Unix seconds, NaN where there is none."""

    item_ids: list[str]
    types: list[str]
    values: Float32
    timestamps: Float64


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of one model, ready to be rendered. `unknown_items` are a session's item ids the model does not know."""

    model: ServedModel
    page: Page
    recommendation_id: str
    next_cursor: str | None
    degraded: list[Degraded]
    user_id: str | None = None
    unknown_items: list[str] = field(default_factory=list)


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
    ) -> None:
        """`clock` gives Unix seconds."""
        self._pool = pool
        self._cache = cache
        self._signer = signer
        self._executor = executor
        self._telemetry = telemetry
        self._clock = clock
        self._newcomers: SingleFlight[CandidateList] = SingleFlight()

    async def recommend(self, user_id: str, filters: Filters, taken: Sequence[str] = ()) -> Answer:
        """A page for a user; `taken` item ids were handed out elsewhere and do not come.

        Raises NoModel, ParameterInvalid (cursor, model), BundleCorrupt and FormatUnsupported for `model=`.
        """
        model = await self._model(filters)
        history = model.history(user_id)
        categories = normal(filters.categories)
        hidden = model.rows_of((*filters.exclude, *taken))

        async def candidates(depth: int) -> Found:
            if history is not None and history.has_positive:
                return await self._known(model, user_id, history, categories, depth)
            return Found(await self._newcomer(model, categories, depth), cached=True)

        if history is not None and not history.has_positive:
            # The newcomers' list is shared, so what this user disliked is left out here.
            hidden |= frozenset(history.items.tolist())
        filtered = bool(categories or filters.exclude or taken)
        return await self._answer(model, filters, candidates, hidden, filtered=filtered, user_id=user_id)

    async def recommend_to_session(self, session: Session, filters: Filters) -> Answer:
        """A page for somebody known by the events sent alone; nothing is stored. Raises as `recommend` does."""
        model = await self._model(filters)
        categories = normal(filters.categories)
        items, confidence, consumed, unknown = self._consumed(model, session)

        async def candidates(depth: int) -> Found:
            def compute() -> CandidateList:
                return sources.for_session(model, items, confidence, consumed, categories, depth)

            return Found(await self._compute(compute), cached=True)

        filtered = bool(categories or filters.exclude)
        hidden = model.rows_of(filters.exclude)
        answer = await self._answer(model, filters, candidates, hidden, filtered=filtered, user_id=None)
        return replace(answer, unknown_items=unknown)

    async def everybodys(self, source: Source, filters: Filters) -> Answer:
        """The head of the popular, trending or latest list. Raises as `recommend` does."""
        model = await self._model(filters)
        categories = normal(filters.categories)

        async def candidates(depth: int) -> Found:
            compute = partial(sources.everybodys, model, source, categories, depth)
            return Found(await self._run(compute), cached=True)

        filtered = bool(categories)
        return await self._answer(model, filters, candidates, frozenset(), filtered=filtered, user_id=None)

    async def like_item(self, item_id: str, filters: Filters) -> Answer:
        """Items like this one. Raises ItemUnknown, and as `recommend` does."""
        model = await self._model(filters)
        row = model.bundle.items.row_of(item_id)
        if row is None:
            raise ItemUnknown(item_id, model.version)

        async def candidates(depth: int) -> Found:
            return Found(await self._run(partial(sources.like_item, model, row, depth)), cached=True)

        return await self._answer(model, filters, candidates, frozenset(), filtered=False, user_id=None)

    async def like_user(self, user_id: str, filters: Filters) -> SimilarUsers:
        """Users like this one; nobody, and `degraded` says so, for a user nothing is known of."""
        model = await self._model(filters)
        row = model.bundle.users.row_of(user_id)
        found = [] if row is None else await self._run(partial(sources.like_user, model, row, filters.limit))
        degraded = [] if len(found) == filters.limit else [Degraded.NEW_USER if row is None else Degraded.END_OF_LIST]
        self._count(degraded)
        return SimilarUsers(model, found, degraded)

    async def close(self) -> None:
        """Ends what is under way."""
        await self._newcomers.close()

    async def _model(self, filters: Filters) -> ServedModel:
        try:
            return await self._pool.get(filters.model)
        except VersionUnknown as exc:
            raise ParameterInvalid("model", str(exc)) from exc

    async def _known(
        self, model: ServedModel, user_id: str, history: History, categories: tuple[str, ...], depth: int
    ) -> Found:
        key = ListKey(user_id, model.version, categories, depth, len(model.bundle.items))
        compute = partial(sources.for_known, model, history, categories, depth)
        return await self._cache.get(key, partial(self._compute, compute))

    async def _newcomer(self, model: ServedModel, categories: tuple[str, ...], depth: int) -> CandidateList:
        known = model.newcomers(categories, depth)
        if known is not None:
            return known
        compute = partial(sources.for_newcomer, model, categories, depth)
        candidates = await self._newcomers.run((model.version, categories, depth), partial(self._compute, compute))
        model.keep_newcomers(categories, depth, candidates)
        return candidates

    async def _compute(self, work: Callable[[], CandidateList]) -> CandidateList:
        with self._telemetry.compute_seconds.time():
            return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        # In a thread, so that the event loop goes on answering what is cached.
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _answer(
        self,
        model: ServedModel,
        filters: Filters,
        candidates: Callable[[int], Awaitable[Found]],
        hidden: Set[int],
        *,
        filtered: bool,
        user_id: str | None,
    ) -> Answer:
        cursor = cursors.decode(filters.cursor, filters.categories)
        page, cached = await self._page(model, filters.limit, candidates, hidden, cursor)
        degraded = _degraded(page, cached=cached)
        if len(page.positions) < filters.limit:
            degraded.append(Degraded.FILTERS if filtered and not cursor.shown else Degraded.END_OF_LIST)
        self._count(degraded)
        return Answer(
            model=model,
            page=page,
            recommendation_id=self._signer.issue(
                issued=int(self._clock()),
                placement=filters.placement,
                model_version=model.version,
                user_id=user_id or "",
            ),
            next_cursor=_next(model, page, cursor, filters.categories),
            degraded=degraded,
            user_id=user_id,
        )

    async def _page(
        self,
        model: ServedModel,
        limit: int,
        candidates: Callable[[int], Awaitable[Found]],
        hidden: Set[int],
        cursor: Cursor,
    ) -> tuple[Page, bool]:
        """The page, and whether Redis took part in every list it took."""
        page: Page | None = None
        cached = True
        for depth in depths(len(cursor.shown) + limit):
            found = await candidates(depth)
            cached = cached and found.cached
            page = cut(
                found.candidates,
                model.bundle.items,
                hidden=hidden,
                cursor=cursor,
                limit=limit,
                deepest=depth == LONGEST_LIST,
            )
            if len(page.positions) == limit or not page.more:
                break
        assert page is not None  # noqa: S101 - `depths` gives at least one
        return page, cached

    def _consumed(self, model: ServedModel, session: Session) -> tuple[Int32, Float32, Int32, list[str]]:
        """Items and confidences to fold in, rows that do not come back, and the item ids not known."""
        rows = [model.bundle.items.row_of(item) for item in session.item_ids]
        known = np.array([row is not None for row in rows], dtype=np.bool_)
        item_rows = np.array([row for row in rows if row is not None], dtype=np.int32)
        types = [kind for kind, is_known in zip(session.types, known, strict=True) if is_known]
        manifest = model.bundle.manifest
        items, confidence = session_confidence(
            manifest.objective.confidence,
            item_rows,
            types,
            session.values[known],
            session.timestamps[known],
            self._clock() if manifest.as_of is None else manifest.as_of,
        )
        seen = np.array([kind not in NOT_CONSUMED for kind in types], dtype=np.bool_)
        unknown = dict.fromkeys(item for item, row in zip(session.item_ids, rows, strict=True) if row is None)
        return items, confidence, np.unique(item_rows[seen]), list(unknown)

    def _count(self, degraded: Sequence[Degraded]) -> None:
        for part in degraded:
            self._telemetry.degraded.labels(part.value).inc()


def _degraded(page: Page, *, cached: bool) -> list[Degraded]:
    """What fell back in this page: a fallback of the list that the page does not show is none."""
    filled = any(page.candidates.sources[position] == Source.POPULAR for position in page.positions)
    own = [part for part in page.candidates.degraded if filled or part is Degraded.FOLD_IN]
    return own if cached else [Degraded.CACHE, *own]


def _next(model: ServedModel, page: Page, cursor: Cursor, categories: Sequence[str]) -> str | None:
    if not page.more:
        return None
    items = model.bundle.items
    shown = (items.bytes_at(int(page.candidates.rows[position])) for position in page.positions)
    return cursors.encode(cursor.followed_by(shown), categories)
