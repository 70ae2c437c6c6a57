"""A user's list straight from a bundle, for a person at a terminal."""

from __future__ import annotations

import numpy as np

from recsvc.bundle.types import Bundle, Int32, ItemRow, UserRow
from recsvc.eventlog.tombstones import Tombstones
from recsvc.scoring.blend import POPULARITY, BlendScorer
from recsvc.scoring.foldin import NOTHING, effective_regularization, fold_in
from recsvc.scoring.retrieval import top_items


def recommended_lines(bundle: Bundle, user_id: str, limit: int, erased: Tombstones) -> list[str]:
    """The user's best unseen items with titles and the reason; the most popular ones for an unknown user, and for one
    who was erased since the bundle's data was read."""
    hidden = erased.hides(user_id, bundle.manifest.erasures_applied_at)
    row = None if hidden else bundle.users.row_of(user_id)
    if row is None:
        return [f"{user_id} is not in {bundle.version}: the most popular items", *_popular(bundle, limit, None)]
    items, confidence = bundle.interactions.of(UserRow(row))
    if not (confidence > 0).any():
        head = f"{user_id} in {bundle.version}: no preference is left after the decay; the most popular unseen items"
        return [head, *_popular(bundle, limit, items)]
    head = f"{user_id} in {bundle.version}: {len(items)} items consumed"
    return [head, *_personal(bundle, UserRow(row), limit)]


def _personal(bundle: Bundle, row: UserRow, limit: int) -> list[str]:
    """The user's best unseen items, by the blend where the bundle has one, else by the factors."""
    items, confidence = bundle.interactions.of(row)
    regularization = effective_regularization(bundle.manifest.objective, bundle.manifest.n_items, confidence)
    folded = fold_in(bundle.gram, bundle.item_factors, items, confidence, regularization)
    allowed = np.ones(len(bundle.items), dtype=bool)
    allowed[items] = False
    blend = bundle.manifest.blend
    if blend is None:
        best, scores = top_items(bundle.index, folded.vector, limit, allowed)
        reasons = folded.explain(bundle.item_factors[best], per_item=2)
    else:
        scorer = BlendScorer(
            bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, blend, bundle.spectrum
        )
        user = scorer.of(bundle.user_factors[row], items[confidence > 0])
        best, scores = user.top(limit, allowed)
        reasons = user.explain(best, bundle.item_factors[best], folded, per_item=2)
        reasons[np.argmax(user.contributions(best), axis=0) == POPULARITY] = NOTHING
    return [
        _line(bundle, int(item), float(score), _because(bundle, own))
        for item, score, own in zip(best, scores, reasons.tolist(), strict=True)
    ]


def _because(bundle: Bundle, own: list[int]) -> str:
    """The user's own items that raised a score most; what none of them raised came for being popular."""
    named = [_name(bundle, item) for item in own if item != NOTHING]
    return f"because of {', '.join(named)}" if named else "popular"


def _popular(bundle: Bundle, limit: int, seen: Int32 | None) -> list[str]:
    popularity = bundle.popularity.copy()
    if seen is not None:
        popularity[seen] = -1.0
    best = np.argsort(-popularity, kind="stable")[:limit]
    return [_line(bundle, int(item), float(popularity[item]), "popular") for item in best if popularity[item] >= 0]


def _name(bundle: Bundle, item: int) -> str:
    return bundle.catalogue.title(ItemRow(item)) or bundle.items[item]


def _line(bundle: Bundle, item: int, score: float, reason: str) -> str:
    return f"{score:8.3f}  {bundle.items[item]:<12} {_name(bundle, item)}  ({reason})"
