"""Candidates for one user: the model's own, then trending and popular where those run out. Pure computation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsvc.bundle.types import Bool, Float32, Int32, ItemRow
from recsvc.scoring.foldin import Folded, fold_in
from recsvc.scoring.retrieval import most_similar, top_items
from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source, joined
from recsvc.serving.degraded import Degraded
from recsvc.serving.served import History, ServedModel


def for_known(model: ServedModel, history: History, categories: Sequence[str], depth: int) -> CandidateList:
    """The list of a user of the model who liked something.

    The vector is the fold-in of the stored row, which is the stored factor and comes with the explanation.
    """
    allowed = model.allowed(categories, history.items)
    try:
        folded = _fold_in(model, history.items, history.confidence)
    except np.linalg.LinAlgError:
        own = _by_model(model, model.bundle.user_factors[history.row], None, allowed, depth)
        return _filled(model, own, allowed, categories, depth, (Degraded.FOLD_IN,))
    own = _by_model(model, folded.vector, folded, allowed, depth)
    return _filled(model, own, allowed, categories, depth, ())


def for_session(
    model: ServedModel,
    items: Int32,
    confidence: Float32,
    consumed: Int32,
    categories: Sequence[str],
    depth: int,
) -> CandidateList:
    """The list of somebody known by recent events alone: `items` int32 (n,), signed `confidence` float32 (n,).

    `consumed` int32 rows do not come back. Without anything liked it is a newcomer's list.
    """
    allowed = model.allowed(categories, consumed)
    if not (confidence > 0).any():
        return model.orderings.spread(allowed, depth, categories)
    try:
        folded = _fold_in(model, items, confidence)
    except np.linalg.LinAlgError:
        return _filled(model, None, allowed, categories, depth, (Degraded.FOLD_IN,))
    own = _by_model(model, folded.vector, folded, allowed, depth)
    return _filled(model, own, allowed, categories, depth, ())


def for_newcomer(model: ServedModel, categories: Sequence[str], depth: int) -> CandidateList:
    """The list of a user nothing is known of; the same for all of them."""
    return model.orderings.spread(model.allowed(categories), depth, categories)


def everybodys(model: ServedModel, source: Source, categories: Sequence[str], depth: int) -> CandidateList:
    """The popular, trending or latest list; what it lacks is filled with popular items, which say so."""
    allowed = model.allowed(categories)
    own = model.orderings.head(source, allowed, depth, categories)
    fill = model.orderings.head(Source.POPULAR, allowed, depth, categories)
    degraded: tuple[Degraded, ...] = ()
    if source is not Source.POPULAR and not len(model.orderings.order(source)):
        degraded = (Degraded.LATEST if source is Source.LATEST else Degraded.TRENDING,)
    return joined([own, fill], depth=depth, complete=_is_all(allowed, depth), degraded=degraded)


def like_item(model: ServedModel, row: int, depth: int) -> CandidateList:
    """Items near `row` by the cosine of their factors, then popular ones of its categories, then popular ones."""
    rows, cosines = most_similar(model.bundle.item_factors, row, depth)
    positive = cosines > 0
    reasons = np.full((int(positive.sum()), REASONS), NO_REASON, dtype=np.int32)
    reasons[:, 0] = row
    near = _of_model(rows[positive], cosines[positive], reasons)
    own = model.bundle.catalogue.categories_of(ItemRow(row))
    itself = np.array([row], dtype=np.int32)
    anything = model.allowed((), itself)
    parts = [near]
    if len(near) < depth:
        if own:
            parts.append(model.orderings.head(Source.POPULAR, model.allowed(own, itself), depth, own))
        parts.append(model.orderings.head(Source.POPULAR, anything, depth, own))
    return joined(parts, depth=depth, complete=_is_all(anything, depth), degraded=())


def like_user(model: ServedModel, row: int, depth: int) -> list[tuple[int, float]]:
    """Users near `row` by the cosine of their factors, best first: (user row, cosine)."""
    rows, cosines = most_similar(model.bundle.user_factors, row, depth)
    return list(zip(rows.tolist(), cosines.tolist(), strict=True))


def _fold_in(model: ServedModel, items: Int32, confidence: Float32) -> Folded:
    bundle = model.bundle
    regularization = bundle.manifest.objective.regularization
    return fold_in(bundle.gram, bundle.item_factors, items, confidence, regularization)


def _by_model(model: ServedModel, vector: Float32, folded: Folded | None, allowed: Bool, depth: int) -> CandidateList:
    """The model's candidates. A score of 0 or below is no preference: such items are left to the other sources."""
    rows, scores = top_items(model.bundle.index, vector, depth, allowed)
    rows, scores = rows[scores > 0], scores[scores > 0]
    reasons = np.full((len(rows), REASONS), NO_REASON, dtype=np.int32)
    if folded is not None:
        for position, because in enumerate(folded.explain(model.bundle.item_factors[rows], REASONS)):
            reasons[position, : len(because)] = because
    return _of_model(rows, scores, reasons)


def _of_model(rows: Int32, scores: Float32, reasons: Int32) -> CandidateList:
    sources = np.full(len(rows), Source.ALS, dtype=np.uint8)
    return CandidateList(rows, scores, sources, reasons, complete=False)


def _filled(
    model: ServedModel,
    own: CandidateList | None,
    allowed: Bool,
    categories: Sequence[str],
    depth: int,
    degraded: tuple[Degraded, ...],
) -> CandidateList:
    parts = [] if own is None else [own]
    if own is None or len(own) < depth:
        fill = model.orderings.mixed(allowed, depth, categories)
        parts.append(fill)
        degraded += fill.degraded
    return joined(parts, depth=depth, complete=_is_all(allowed, depth), degraded=degraded)


def _is_all(allowed: Bool, depth: int) -> bool:
    return int(np.count_nonzero(allowed)) <= depth
