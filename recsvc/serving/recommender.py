"""The conductor: from a request to the page that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from recsvc.bundle.errors import VersionUnknown
from recsvc.bundle.types import Bool, Float32, Float64, Int32
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
from recsvc.serving.token import TokenSigner
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
    """A page of one model, ready to be rendered. `unknown_items` counts a session's events on items not known."""

    model: ServedModel
    page: Page
    recommendation_id: str
    next_cursor: str | None
    degraded: list[Degraded]
    user_id: str | None = None
    unknown_items: int = 0


@dataclass(frozen=True, slots=True)
class SimilarUsers:
    """Users near another one: (user row, cosine), best first."""

    model: ServedModel
    users: list[tuple[int, float]]
    degraded: list[Degraded] = field(default_factory=list)


@dataclass(slots=True)
class _Taken:
    """Item rows that a batch has handed out, by model version."""

    rows: set[int] = field(default_factory=set)


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
