"""Cutting one page from a list of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

from recsvc.serving.candidates import NO_REASON, CandidateList, Source
from recsvc.serving.cursor import LONGEST_LIST, Cursor, fingerprint

_BY_MODEL: Final = frozenset(source.value for source in Source if source.by_model)

DEPTHS: Final = (100, 1_000, LONGEST_LIST)
"""How many candidates are computed: few serve most requests, more only those who go on."""


@dataclass(frozen=True)
class Page:
    """`positions` in the candidate list, in order, and whether more may follow.

    The columns of `candidates` at these positions come as plain numbers, each read once: number by number it would take
    ten times as long.
    """

    candidates: CandidateList
    positions: list[int]
    more: bool

    @cached_property
    def rows(self) -> list[int]:
        """The item rows."""
        rows: list[int] = self.candidates.rows[self.positions].tolist()
        return rows

    @cached_property
    def scores(self) -> list[float]:
        """The scores."""
        scores: list[float] = self.candidates.scores[self.positions].tolist()
        return scores

    @cached_property
    def sources(self) -> list[int]:
        """The values of their `Source`."""
        sources: list[int] = self.candidates.sources[self.positions].tolist()
        return sources

    @cached_property
    def reasons(self) -> list[list[int]]:
        """What explains each of them, as in `CandidateList`."""
        reasons: list[list[int]] = self.candidates.reasons[self.positions].tolist()
        return reasons

    @cached_property
    def named(self) -> frozenset[int]:
        """The rows of the items that reasons name."""
        named = {
            row for source, rows in zip(self.sources, self.reasons, strict=True) if source in _BY_MODEL for row in rows
        }
        return frozenset(named - {NO_REASON})


def depths(needed: int) -> Iterator[int]:
    """The depths to try in turn for a page that ends at place `needed` of the list."""
    yield from (depth for depth in DEPTHS if depth >= min(needed, LONGEST_LIST))


class Identified(Protocol):
    """What knows the id of a row."""

    def bytes_at(self, row: int) -> bytes:
        """The UTF-8 bytes of the id."""


def cut(
    candidates: CandidateList, items: Identified, *, hidden: Set[int], cursor: Cursor, limit: int, deepest: bool
) -> Page:
    """The first `limit` candidates that are neither in `hidden` (item rows) nor on an earlier page.

    `deepest` says that no longer list will be computed. A list ends after LONGEST_LIST items shown.
    """
    shown = frozenset(cursor.shown)
    limit = min(limit, LONGEST_LIST - len(cursor.shown))
    positions: list[int] = []
    for position, row in enumerate(candidates.rows.tolist()):
        if row in hidden or (shown and fingerprint(items.bytes_at(row)) in shown):
            continue
        if len(positions) == limit:
            return Page(candidates, positions, len(cursor.shown) + limit < LONGEST_LIST)
        positions.append(position)
    room = len(cursor.shown) + len(positions) < LONGEST_LIST
    return Page(candidates, positions, room and not (candidates.complete or deepest))
