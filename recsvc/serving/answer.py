"""What a request asks of its list, and the answer to it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from recsvc.serving.cache import Found
from recsvc.serving.degraded import Degraded
from recsvc.serving.experimenting import NO_PART, Chosen, Part
from recsvc.serving.paging import Page
from recsvc.serving.served import ServedModel
from recsvc.tokens import Stamp


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

    `stamp` issues further tokens for the same; `seen` is what its model had seen before the list was asked for.
    """

    model: ServedModel
    page: Page
    recommendation_id: str
    stamp: Stamp
    seen: tuple[int, int]
    next_cursor: str | None
    degraded: list[Degraded]
    user_id: str | None = None
    unknown_items: list[str] = field(default_factory=list)
    unnamed: Set[int] = frozenset()
    """Rows that reasons name and the answer must not: items that may not be shown."""
    part: Part = NO_PART
    mixed: Mixed | None = None
    """There where the list is made of this page and another model's."""
    found: Found | None = None
    """The list that the page was cut from, where it is a user's."""

    @property
    def named_rows(self) -> tuple[int, ...]:
        """The rows of the items that the answer names, in its reasons too."""
        return (*self.page.rows, *(self.page.named - self.unnamed))


@dataclass(frozen=True, slots=True)
class Mixed:
    """A list of two answers: `second` the other one; `picks` (0 the first answer or 1 the second, place in its page) in
    the order to show."""

    second: Answer
    picks: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SimilarUsers:
    """Users near another one: (user row, cosine), best first."""

    model: ServedModel
    users: list[tuple[int, float]]
    degraded: list[Degraded] = field(default_factory=list)
