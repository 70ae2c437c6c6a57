"""The candidates of a model whose score is a weighted sum, with where each comes from and why. Pure computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from recsvc.bundle.types import Bool, Float32, Int32
from recsvc.scoring.blend import FACTORS, Blended
from recsvc.scoring.foldin import Folded
from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source
from recsvc.serving.eligible import Eligible
from recsvc.serving.served import ServedModel

_SOURCES: Final = np.array([Source.ALS, Source.NEIGHBOURS, Source.POPULAR, Source.NEIGHBOURS], dtype=np.uint8)
"""In the order of `recsvc.bundle.manifest.COMPONENTS`: a candidate comes from what adds most to its score. The spectrum
too weighs items by those that were met: a smooth item × item model."""


def by_blend(
    model: ServedModel,
    user: Blended,
    folded: Folded | None,
    among: Eligible,
    categories: Sequence[str],
    depth: int,
) -> CandidateList:
    """The model's candidates. A score of 0 or below is no preference: such items are left to the other sources.

    Where popularity has a weight, every item that anybody liked has a score above 0, and the model ranks them all.
    What is demoted, and what has a vector by content only, is scored apart, so that the ranking is that of the final
    scores. An item by content has the weighted score of its vector: nobody had met it, so it has no neighbours and no
    popularity.
    """
    rows, scores, by_content = _ranked(model, user, among, depth)
    sources = np.full(len(rows), Source.CONTENT, dtype=np.uint8)
    sources[~by_content] = _SOURCES[np.argmax(user.contributions(rows[~by_content]), axis=0)]
    reasons = user.explain(rows, model.view.vectors(rows), folded, REASONS)
    popular = sources == Source.POPULAR
    reasons[popular] = NO_REASON
    reasons[popular, 0] = model.orderings.reason_categories(rows[popular], categories)
    return CandidateList(rows, scores, sources, reasons, complete=False)


def _ranked(model: ServedModel, user: Blended, among: Eligible, depth: int) -> tuple[Int32, Float32, Bool]:
    """The best rows by final score, best first, equal ones by row; their scores; which have vectors by content."""
    n_items = len(model.bundle.items)
    apart = among.apart(n_items)
    indexed = among.allowed[:n_items].copy()
    indexed[apart.rows[apart.rows < n_items]] = False
    rows, scores = user.top(depth, indexed)
    by_content = np.zeros(len(rows), dtype=np.bool_)
    if len(apart.rows):
        of_apart = np.concatenate([user.weights[FACTORS] * apart.products(user.vector), user.score(apart.demoted)])
        rows = np.concatenate([rows, apart.rows])
        scores = np.concatenate([scores, among.weighed(apart.rows, of_apart)])
        by_content = np.isin(rows, apart.content)
        best = np.lexsort((rows, -scores))[:depth]
        rows, scores, by_content = rows[best], scores[best], by_content[best]
    liked = scores > 0
    return rows[liked], scores[liked], by_content[liked]
