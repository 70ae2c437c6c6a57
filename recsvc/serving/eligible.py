"""Which items may be recommended in one computation, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsvc.bundle.types import Bool, Float32, Int32
from recsvc.serving.unwanted import Unwanted
from recsvc.serving.view import Changed, LiveView

NOTHING_UNWANTED = Unwanted()
NO_ROWS: Int32 = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Apart:
    """The eligible rows that are scored apart from the index, which has raw scores of the items trained on.

    `content` int32 (m,) have vectors by content only; `demoted` int32 (d,) have factors, and scores that shrink;
    `rows` int32 (m + d,) are both, in this order.
    """

    content: Int32
    demoted: Int32
    rows: Int32
    _vectors: Float32
    _shown: Bool

    def products(self, vector: Float32) -> Float32:
        """The inner product of each vector by content with `vector` float32 (n_factors,); float32 (m,)."""
        return np.asarray((self._vectors @ vector)[self._shown], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Eligible:
    """`allowed` bool (n_rows,) of the catalogue at the moment of `changed`. `factors` float32 (n_rows,), 0 to 1, by
    which scores are multiplied, or None where all are 1."""

    changed: Changed
    allowed: Bool
    factors: Float32 | None

    @property
    def count(self) -> int:
        """How many items may come."""
        return int(np.count_nonzero(self.allowed))

    @property
    def demoted(self) -> Bool:
        """The rows whose scores shrink; bool (n_rows,)."""
        return np.zeros(len(self.allowed), dtype=np.bool_) if self.factors is None else self.factors < 1.0

    def weighed(self, rows: Int32, scores: Float32) -> Float32:
        """The scores of these rows, multiplied."""
        return scores if self.factors is None else np.asarray(scores * self.factors[rows], dtype=np.float32)

    def apart(self, n_items: int) -> Apart:
        """What is to be scored apart, under a model of `n_items` items."""
        content, demoted = self.changed.content, NO_ROWS
        shown = self.allowed[content.rows]
        if self.factors is not None:
            trained = np.ones(n_items, dtype=np.bool_)
            trained[content.rows[content.rows < n_items]] = False
            demoted = np.flatnonzero(self.demoted[:n_items] & self.allowed[:n_items] & trained).astype(np.int32)
        rows = content.rows[shown]
        return Apart(rows, demoted, np.concatenate([rows, demoted]), content.vectors, shown)

    def among(self, rows: Int32) -> Eligible:
        """Those of the rows that may come."""
        mask = np.zeros(len(self.allowed), dtype=np.bool_)
        mask[rows] = True
        return replace(self, allowed=self.allowed & mask)


def eligible(
    view: LiveView,
    categories: Sequence[str],
    now: float,
    *,
    consumed: Int32 = NO_ROWS,
    unwanted: Unwanted = NOTHING_UNWANTED,
) -> Eligible:
    """The items of any of the categories (of all, when none is given) that are shown at `now` (Unix seconds).

    Without `consumed` rows, reported items, and what is of unwanted creators or topics still left out.
    """
    changed = view.changed
    allowed = _of_categories(view, changed, categories)
    allowed[consumed[consumed < changed.n_rows]] = False
    factors: Float32 | None = None
    if len(changed.rows):
        shown = (changed.visible_from <= now) & (now < changed.visible_until)
        allowed[changed.rows[~shown]] = False
        lower = changed.quality < 1.0
        if lower.any():
            factors = np.ones(changed.n_rows, dtype=np.float32)
            factors[changed.rows[lower]] = changed.quality[lower]
    if unwanted:
        factors = np.ones(changed.n_rows, dtype=np.float32) if factors is None else factors
        _leave_out(view, changed, unwanted, allowed, factors)
    return Eligible(changed, allowed, factors)


def _of_categories(view: LiveView, changed: Changed, categories: Sequence[str]) -> Bool:
    if not categories:
        return np.ones(changed.n_rows, dtype=np.bool_)
    mask = np.zeros(changed.n_rows, dtype=np.bool_)
    for category in categories:
        mask[view.rows_in(category, changed)] = True
    return mask


def _leave_out(view: LiveView, changed: Changed, unwanted: Unwanted, allowed: Bool, factors: Float32) -> None:
    for item in unwanted.items:
        row = view.row_of(item)
        if row is not None and row < changed.n_rows:
            allowed[row] = False
    for creator, factor in unwanted.creators.items():
        _take_off(view.rows_by(creator, changed), factor, allowed, factors)
    for topic, factor in unwanted.topics.items():
        _take_off(view.rows_in(topic, changed), factor, allowed, factors)


def _take_off(rows: Int32, factor: float, allowed: Bool, factors: Float32) -> None:
    if factor == 0.0:
        allowed[rows] = False
    else:
        factors[rows] *= np.float32(factor)
