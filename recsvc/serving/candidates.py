"""The ranked candidates from which the pages of one user are cut."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from recsvc.bundle.types import Float32, Int32, UInt8
from recsvc.scoring.foldin import NOTHING
from recsvc.serving.degraded import Degraded

REASONS: Final = 2
"""How many of the user's own items explain a candidate at most."""
NO_REASON: Final = NOTHING


class Source(IntEnum):
    """Where a candidate comes from; the number is what the cache stores, so new ones are appended."""

    ALS = 0
    TRENDING = 1
    POPULAR = 2
    LATEST = 3
    CONTENT = 4
    """By the model, for an item that nobody had met: its vector is made of what is known of it."""
    NEIGHBOURS = 5
    """By a blended model, for the items that the user met: others met them and this one (neighbours, spectrum)."""

    @property
    def label(self) -> str:
        """The name in answers."""
        return "item-item" if self is Source.NEIGHBOURS else self.name.lower()

    @property
    def by_model(self) -> bool:
        """Whether the model scored it, so that the user's own items explain it."""
        return self in (Source.ALS, Source.CONTENT, Source.NEIGHBOURS)


@dataclass(frozen=True, slots=True)
class CandidateList:
    """Candidates, best first, without repeats.

    `rows` int32 (n,) item rows; `scores` float32 (n,), comparable within one source only; `sources` uint8 (n,)
    values of `Source`; `reasons` int32 (n, REASONS): for sources by a model the rows of the user's own items that
    raised the score most, for the others a category code in column 0; NO_REASON where there is none. `complete`
    says that nothing else may be recommended: a longer list would not be longer. `degraded` is what fell back
    when the list was computed; `computed_at` is Unix seconds by Redis' clock, None for a list that is kept nowhere;
    `of_history` says that the history that the bundle has of the user went into it.
    """

    rows: Int32
    scores: Float32
    sources: UInt8
    reasons: Int32
    complete: bool
    degraded: tuple[Degraded, ...] = ()
    computed_at: float | None = None
    of_history: bool = False

    def __len__(self) -> int:
        return len(self.rows)


def plain(rows: Int32, scores: Float32, source: Source, category_codes: Int32) -> CandidateList:
    """Candidates of one source that is no model, explained by a category each (NO_REASON where none)."""
    reasons = np.full((len(rows), REASONS), NO_REASON, dtype=np.int32)
    reasons[:, 0] = category_codes
    return CandidateList(rows, scores, np.full(len(rows), source, dtype=np.uint8), reasons, complete=False)


def joined(parts: list[CandidateList], *, depth: int, complete: bool, degraded: tuple[Degraded, ...]) -> CandidateList:
    """The parts one after the other, an item kept where it comes first, cut to `depth`."""
    rows = np.concatenate([part.rows for part in parts])
    _, first = np.unique(rows, return_index=True)
    kept = np.sort(first)[:depth]
    return CandidateList(
        rows[kept],
        np.concatenate([part.scores for part in parts])[kept],
        np.concatenate([part.sources for part in parts])[kept],
        np.concatenate([part.reasons for part in parts])[kept],
        complete,
        degraded,
    )


def alternated(first: CandidateList, second: CandidateList) -> CandidateList:
    """The two lists taken in turns (repeats stay; `joined` drops them); the longer one's rest follows."""
    places = np.concatenate([np.arange(len(first)) * 2, np.arange(len(second)) * 2 + 1])
    order = np.argsort(places, kind="stable")
    return CandidateList(
        np.concatenate([first.rows, second.rows])[order],
        np.concatenate([first.scores, second.scores])[order],
        np.concatenate([first.sources, second.sources])[order],
        np.concatenate([first.reasons, second.reasons])[order],
        complete=False,
    )
