"""A bundle in service: the opened arrays and what is derived from them once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from recsvc.bundle.types import Bundle, Float32, Int32, UserRow
from recsvc.catalog.live import LiveItems
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstones
from recsvc.scoring.blend import BlendScorer
from recsvc.serving.candidates import CandidateList
from recsvc.serving.orderings import Orderings
from recsvc.serving.view import LiveView

_NEWCOMER_LISTS: Final = 256
"""Lists for newcomers that are kept, one per set of categories and depth."""


@dataclass(frozen=True, slots=True)
class History:
    """What a user has consumed: distinct `items` int32 (n,), signed `confidence` float32 (n,), the user's row."""

    row: UserRow
    items: Int32
    confidence: Float32


class ServedModel:
    """One opened bundle, the catalogue as it is now, its orderings and the lists of newcomers.

    A request holds one from start to end. Users erased since the bundle was made are unknown to it.
    """

    def __init__(self, bundle: Bundle, items: LiveItems | None = None, erasures: Tombstones | None = None) -> None:
        """`items` and `erasures` are followed as they change; without them there are none."""
        self.bundle = bundle
        blend = bundle.manifest.blend
        self.scorer = (
            None
            if blend is None
            else BlendScorer(
                bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, blend, bundle.spectrum
            )
        )
        """Ranks by the blend; None where the factors alone are the score."""
        self.view = LiveView(bundle, items if items is not None else LiveItems())
        self.orderings = Orderings(bundle, self.view)
        self.erasures = erasures if erasures is not None else Tombstones()
        self._newcomers: dict[tuple[tuple[str, ...], int], tuple[int, float, CandidateList]] = {}
        self._log_ends = {
            int(partition): StreamId.parse(end) for partition, end in (bundle.manifest.log_ends or {}).items()
        }

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.version

    @property
    def seen(self) -> tuple[int, int]:
        """How much of the changes of the catalogue was taken in, and of the erasures; another one when more was."""
        return self.view.version, self.erasures.version

    def user_row(self, user_id: str) -> UserRow | None:
        """The user's row, or None for a user that the model does not know, or must not."""
        row = self.bundle.users.row_of(user_id)
        return None if row is None or self.hides(user_id) else UserRow(row)

    def hides(self, user_id: str) -> bool:
        """Whether the user was erased after the bundle's data was read."""
        return self.erasures.hides(user_id, self.bundle.manifest.erasures_applied_at)

    def history(self, user_id: str) -> History | None:
        """The user's training-time interactions, or None for a user the model does not know."""
        row = self.user_row(user_id)
        return None if row is None else History(row, *self.bundle.interactions.of(row))

    def is_news(self, partition: int, at: StreamId) -> bool:
        """Whether an entry of the event log came after what the model was trained on."""
        end = self._log_ends.get(partition)
        return end is None or at > end

    def newcomers(self, categories: tuple[str, ...], depth: int, now: float) -> tuple[float, CandidateList] | None:
        """The kept list for users nothing is known of, and until when it is good (Unix seconds); None when it was not
        computed for the catalogue as it is at `now`."""
        version, until, candidates = self._newcomers.get((categories, depth), (-1, 0.0, None))
        good = candidates is not None and version == self.view.version and now < until
        return (until, candidates) if candidates is not None and good else None

    def keep_newcomers(
        self, categories: tuple[str, ...], depth: int, candidates: CandidateList, *, version: int, until: float
    ) -> None:
        """Keeps such a list, computed at that version of the view, until an item is published (Unix seconds); the
        oldest goes when there are too many."""
        self._newcomers.pop((categories, depth), None)
        while len(self._newcomers) >= _NEWCOMER_LISTS:
            del self._newcomers[next(iter(self._newcomers))]
        self._newcomers[categories, depth] = (version, until, candidates)

    @property
    def example_users(self) -> list[str]:
        """A few users with a history to look at, for demonstrations: those of median length and above."""
        return [user for user in self._examples if not self.hides(user)]

    @cached_property
    def _examples(self) -> list[str]:
        lengths = np.diff(self.bundle.interactions.indptr)
        rows = np.flatnonzero(lengths >= max(1, int(np.median(lengths))))
        chosen = rows[np.linspace(0, len(rows) - 1, num=min(5, len(rows)), dtype=np.int64)] if len(rows) else rows
        return [self.bundle.users[int(row)] for row in chosen]
