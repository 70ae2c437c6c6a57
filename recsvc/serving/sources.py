"""Candidates for one user: the model's own, then trending and popular where those run out. Pure computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from recsvc.bundle.types import Float32, Int32
from recsvc.scoring.blend import FACTORS, BlendScorer
from recsvc.scoring.foldin import Folded, effective_regularization, fold_in_vectors
from recsvc.scoring.retrieval import best_places, cosines, most_similar, top_items
from recsvc.serving.blending import by_blend
from recsvc.serving.candidates import NO_REASON, REASONS, CandidateList, Source, joined
from recsvc.serving.degraded import Degraded
from recsvc.serving.eligible import NO_ROWS, Eligible, eligible
from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel

_MANY: Final = 8
"""A demoted row in so many is many."""


def for_user(model: ServedModel, known: Knowledge, categories: Sequence[str], depth: int, now: float) -> CandidateList:
    """The list of somebody of whom something is known, at `now` (Unix seconds).

    The vector is the fold-in of all that is known; for a user of the model without news that is the stored factor, and
    comes with the explanation. Without anything liked it is a newcomer's list. A blended model ranks by its blend.
    """
    among = eligible(model.view, categories, now, consumed=known.consumed, unwanted=known.unwanted)
    if not known.has_positive:
        return _newcomers(model, among, categories, depth, known)
    if model.scorer is not None:
        return _blended(model, model.scorer, known, among, categories, depth)
    try:
        folded = _fold_in(model, known)
    except np.linalg.LinAlgError:
        stored = None if known.row is None else model.bundle.user_factors[known.row]
        own = None if stored is None else _by_model(model, stored, None, among, depth)
        return _filled(model, own, among, categories, depth, (*known.degraded, Degraded.FOLD_IN))
    own = _by_model(model, folded.vector, folded, among, depth)
    return _filled(model, own, among, categories, depth, known.degraded)


def for_newcomer(model: ServedModel, categories: Sequence[str], depth: int, now: float) -> CandidateList:
    """The list of a user nothing is known of; the same for all of them."""
    return model.orderings.spread(eligible(model.view, categories, now), depth, categories)


def everybodys(model: ServedModel, source: Source, categories: Sequence[str], depth: int, now: float) -> CandidateList:
    """The popular, trending or latest list; what it lacks is filled with popular items, which say so."""
    among = eligible(model.view, categories, now)
    own = model.orderings.head(source, among, depth, categories)
    fill = model.orderings.head(Source.POPULAR, among, depth, categories)
    degraded: tuple[Degraded, ...] = ()
    if source is Source.TRENDING:
        degraded = model.orderings.fallback()
    elif source is Source.LATEST and not model.orderings.has_dates(among.changed):
        degraded = (Degraded.LATEST,)
    return joined([own, fill], depth=depth, complete=among.count <= depth, degraded=degraded)


def like_item(model: ServedModel, row: int, depth: int, now: float) -> CandidateList:
    """Items near `row` by the cosine of their factors, then popular ones of its categories, then popular ones."""
    itself = np.array([row], dtype=np.int32)
    anything = eligible(model.view, (), now, consumed=itself)
    near = _near(model, row, anything, depth)
    parts = [near]
    if len(near) < depth:
        own = model.view.categories(row)
        if own:
            alike = eligible(model.view, own, now, consumed=itself)
            parts.append(model.orderings.head(Source.POPULAR, alike, depth, own))
        parts.append(model.orderings.head(Source.POPULAR, anything, depth, own))
    return joined(parts, depth=depth, complete=anything.count <= depth, degraded=())


def like_user(model: ServedModel, row: int, depth: int) -> list[tuple[int, float]]:
    """Users near `row` by the cosine of their factors, best first: (user row, cosine)."""
    # Erased users may stand among the nearest: each that is known to be erased makes room for one more.
    rows, cosines = most_similar(model.bundle.user_factors, row, depth + len(model.erasures))
    near = zip(rows.tolist(), cosines.tolist(), strict=True)
    return [(user, cosine) for user, cosine in near if not model.hides(model.bundle.users[user])][:depth]


def _newcomers(
    model: ServedModel, among: Eligible, categories: Sequence[str], depth: int, known: Knowledge
) -> CandidateList:
    """What takes turns in the user's declared interests first, then the list of everybody."""
    parts = [model.orderings.spread(among, depth, categories)]
    if known.interests:
        rows = np.concatenate([model.view.rows_in(name, among.changed) for name in known.interests])
        parts.insert(0, model.orderings.spread(among.among(rows), depth, known.interests))
    degraded = known.degraded + parts[-1].degraded
    return joined(parts, depth=depth, complete=parts[-1].complete, degraded=degraded)


def _blended(
    model: ServedModel, scorer: BlendScorer, known: Knowledge, among: Eligible, categories: Sequence[str], depth: int
) -> CandidateList:
    """The list by the weights that the length of the positive history chooses; folded in where factors count."""
    history = known.items[known.confidence > 0]
    stored = None if known.row is None else model.bundle.user_factors[known.row]
    folded, degraded = None, known.degraded
    if scorer.weights(len(history))[FACTORS] > 0:
        try:
            folded = _fold_in(model, known)
        except np.linalg.LinAlgError:
            degraded = (*degraded, Degraded.FOLD_IN)
    if stored is not None and (folded is None or not known.fresh.any()):
        # To the bit what the model was evaluated with: the fold-in of the same history differs in the last digits.
        vector = stored
    else:
        vector = np.zeros(model.bundle.item_factors.shape[1], dtype=np.float32) if folded is None else folded.vector
    own = by_blend(model, scorer.of(vector, history), folded, among, categories, depth)
    return _filled(model, own, among, categories, depth, degraded)


def _fold_in(model: ServedModel, known: Knowledge) -> Folded:
    bundle = model.bundle
    # The stored history counts as it did in training: what had no factors then is nothing in it.
    if known.fresh.any():
        vectors = np.zeros((len(known.items), bundle.item_factors.shape[1]), dtype=np.float32)
        stored = ~known.fresh
        vectors[stored] = bundle.item_factors[known.items[stored]]
        vectors[known.fresh] = model.view.vectors(known.items[known.fresh])
    else:
        vectors = bundle.item_factors[known.items]
    manifest = bundle.manifest
    regularization = effective_regularization(manifest.objective, manifest.n_items, known.confidence)
    return fold_in_vectors(bundle.gram, vectors, known.items, known.confidence, regularization)


def _by_model(model: ServedModel, vector: Float32, folded: Folded | None, among: Eligible, depth: int) -> CandidateList:
    """The model's candidates. A score of 0 or below is no preference: such items are left to the other sources.

    The index has the raw scores of the items trained on. What is demoted, and what has a vector by content only, is
    scored apart, so that the ranking is that of the final scores.
    """
    n_items = len(model.bundle.items)
    apart, apart_scores = _scored_apart(model, vector, among)
    indexed = among.allowed[:n_items]
    if len(apart):
        indexed = indexed.copy()
        indexed[apart[apart < n_items]] = False
    found, scores = top_items(model.bundle.index, vector, depth, indexed)
    if len(apart):
        found, scores = np.concatenate([found, apart]), np.concatenate([scores, apart_scores])
        best = best_places(scores, depth)
        found, scores = found[best], scores[best]
    found, scores = found[scores > 0], scores[scores > 0]
    reasons = np.full((len(found), REASONS), NO_REASON, dtype=np.int32)
    if folded is not None:
        reasons = folded.explain(model.view.vectors(found), REASONS)
    return _of_model(model, found, scores, reasons)


def _scored_apart(model: ServedModel, vector: Float32, among: Eligible) -> tuple[Int32, Float32]:
    """The eligible rows that are not left to the index, and their final scores."""
    if among.factors is None and not len(among.changed.content.rows):
        return NO_ROWS, np.empty(0, dtype=np.float32)
    factors, apart = model.bundle.item_factors, among.apart(len(model.bundle.items))
    demoted, scores = apart.demoted, apart.products(vector)
    if not len(demoted):
        return apart.rows, among.weighed(apart.rows, scores)
    # To gather many rows takes longer than to multiply all of them.
    many = len(demoted) * _MANY > len(factors)
    products = (factors @ vector)[demoted] if many else factors[demoted] @ vector
    return apart.rows, among.weighed(apart.rows, np.concatenate([scores, products]))


def _near(model: ServedModel, row: int, among: Eligible, depth: int) -> CandidateList:
    """The eligible items whose vectors have a positive cosine with the item's, best first."""
    content, factors = among.changed.content, model.bundle.item_factors
    vector = model.view.vectors(np.array([row], dtype=np.int32))[0]
    rows = np.concatenate([np.arange(len(factors), dtype=np.int32), content.rows])
    near = np.concatenate([cosines(factors, vector), cosines(content.vectors, vector)])
    near = among.weighed(rows, np.where(among.allowed[rows], np.nan_to_num(near), np.float32(0)))
    best = best_places(near, depth)
    best = best[near[best] > 0]
    reasons = np.full((len(best), REASONS), NO_REASON, dtype=np.int32)
    reasons[:, 0] = row
    return _of_model(model, rows[best], near[best], reasons)


def _of_model(model: ServedModel, rows: Int32, scores: Float32, reasons: Int32) -> CandidateList:
    sources = np.where(model.view.by_content(rows), np.uint8(Source.CONTENT), np.uint8(Source.ALS))
    return CandidateList(rows, scores, sources, reasons, complete=False)


def _filled(
    model: ServedModel,
    own: CandidateList | None,
    among: Eligible,
    categories: Sequence[str],
    depth: int,
    degraded: tuple[Degraded, ...],
) -> CandidateList:
    count = among.count
    if own is not None and len(own) >= min(depth, count):
        return replace(own, complete=count <= depth, degraded=degraded)
    fill = model.orderings.mixed(among, depth, categories)
    parts = [fill] if own is None else [own, fill]
    return joined(parts, depth=depth, complete=count <= depth, degraded=degraded + fill.degraded)
