"""Cutting one page from a list of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final, Protocol

from recsvc.serving.candidates import CandidateList
from recsvc.serving.cursor import LONGEST_LIST, Cursor, fingerprint

DEPTHS: Final = (100, 1_000, LONGEST_LIST)
"""How many candidates are computed: few serve most requests, more only those who go on."""


@dataclass(frozen=True, slots=True)
class Page:
    """`positions` in the candidate list, in order, and whether more may follow.

    The columns of `candidates` at these positions are given as plain numbers: one by one they cost ten times as much.
    """

    candidates: CandidateList
    positions: list[int]
    more: bool

    @property
    def rows(self) -> list[int]:
        """The item rows."""
        rows: list[int] = self.candidates.rows[self.positions].tolist()
        return rows

    @property
    def scores(self) -> list[float]:
        """The scores."""
        scores: list[float] = self.candidates.scores[self.positions].tolist()
        return scores

    @property
    def sources(self) -> list[int]:
        """The values of their `Source`."""
        sources: list[int] = self.candidates.sources[self.positions].tolist()
        return sources

    @property
    def reasons(self) -> list[list[int]]:
        """The reasons, REASONS an item."""
        reasons: list[list[int]] = self.candidates.reasons[self.positions].tolist()
        return reasons


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
