"""How well items that nobody has met are ranked by what is known of them: choosing λ, and the figure on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import ContentSummary
from recsvc.bundle.types import Bool, ContentMap, Float32, Float64, Int32
from training import metrics
from training.als import Factors, fit_als
from training.config import RunConfig
from training.content import Features, Ridge, category_popularity, features_of, fit_content, vectors
from training.rankers import best
from training.sources.dataset import ItemColumns

_LEAST_ITEMS: Final = 5
"""Held-out items below which nothing can be said of them."""
_K: Final = 10
_MOST_ITEMS: Final = 2_000
_MOST_USERS: Final = 5_000
"""Enough for a figure to two digits; more would only cost time and memory."""
_NAMES: Final = ("content", "category popularity", "chance")


@dataclass(frozen=True, slots=True)
class ColdStart:
    """`regularization` the λ chosen; `measured` as `ContentSummary.held_out`."""

    regularization: float
    measured: dict[str, float]

    def words(self) -> str:
        """The figure in a line."""
        if not self.measured:
            return "new items by their metadata: too few items with known features to measure on"
        parts = [f"{name} {self.measured[f'ndcg@{_K} {name}']:.4f}" for name in _NAMES]
        n_items, n_users = (int(self.measured[name]) for name in ("items", "users"))
        return (
            f"new items by their metadata, NDCG@{_K} over {n_items:,} held-out items and their {n_users:,} users: "
            + ", ".join(parts)
        )


@dataclass(frozen=True, slots=True)
class Content:
    """The map from metadata to factors, what the manifest says of it, and how λ was chosen."""

    map: ContentMap
    summary: ContentSummary
    cold_start: ColdStart


@dataclass(frozen=True, slots=True)
class Part:
    """Held-out items `items` int32, and of each user who has one of them: `users` their rows, `taken` CSR
    (len(users), len(items)), 1 where the user has the item."""

    items: Int32
    users: Int32
    taken: csr_matrix


def map_metadata(
    columns: ItemColumns, everything: csr_matrix, item_factors: Float32, train: csr_matrix, config: RunConfig
) -> Content | None:
    """The ridge map of the published model, λ chosen inside the training part; None where too little is known of items.

    `everything` and `train` float32 users × items, signed confidence: what the model with these `item_factors` was
    fitted on, and the training part of it.
    """
    features = features_of(columns, config.content.minimum_items)
    users = np.bincount(metrics.positives(everything).indices, minlength=everything.shape[1]).astype(np.float64)
    if features is None or not (features.there & (users > 0)).any():
        return None
    cold_start = measure_cold_start(train, features, config)
    summary = ContentSummary(
        features=len(features.names),
        items=int((users > 0).sum()),
        regularization=cold_start.regularization,
        minimum_items=config.content.minimum_items,
        held_out=cold_start.measured,
    )
    return Content(fit_content(features, item_factors, users, cold_start.regularization), summary, cold_start)


@dataclass(frozen=True, slots=True)
class HeldOutItems:
    """Items withheld from a fit: `choosing` to choose λ on, `reporting` to measure on.

    `factors` fitted without any of them; `users` float64 (n_items,), how many have each item, 0 for the withheld.
    """

    choosing: Part
    reporting: Part
    factors: Factors
    users: Float64
    ridge: Ridge
    features: Features

    def scores(self, part: Part, regularization: float) -> Float32:
        """What the map with that λ gives each user of a part for each of its items; float32 (users, items)."""
        result: Float32 = self.factors.users[part.users] @ self.vectors(part.items, regularization).T
        return result

    def vectors(self, items: Int32, regularization: float) -> Float32:
        """The map's vectors of given item rows; float32 (len(items), n_factors)."""
        return vectors(self.features.matrix[items], *self.ridge.fit(regularization))

    def best_regularization(self, config: RunConfig) -> float:
        """The λ of the settings with the best mean NDCG@10 on the items to choose on."""
        return max(
            config.content.regularizations,
            key=lambda value: _ndcg(self.scores(self.choosing, value), self.choosing.taken),
        )


def measure_cold_start(train: csr_matrix, features: Features, config: RunConfig) -> ColdStart:
    """Chooses λ on some held-out items of the training part and measures the map on as many others.

    `train` float32 users × items, signed confidence. The interactions with all of these items are withheld: the factors
    are fitted without them, so the items are as new as if they came tomorrow. A user who has some of them is to find
    them first among all of them. λ is that of the best mean NDCG@10; the test part takes no part in this. With
    too few items λ is the middle one of the settings, and nothing is measured.
    """
    held_out = hold_items_out(train, features, config)
    if held_out is None:
        regularizations = sorted(config.content.regularizations)
        return ColdStart(regularizations[len(regularizations) // 2], {})
    chosen, reporting = held_out.best_regularization(config), held_out.reporting
    scores = held_out.scores(reporting, chosen)
    return ColdStart(chosen, _measured(reporting, scores, features, held_out.users, config.als.seed))


def hold_items_out(train: csr_matrix, features: Features, config: RunConfig) -> HeldOutItems | None:
    """Withholds twice `content.held_out_share` of the items with known features, and fits without them.

    `train` as in `measure_cold_start`. None where the items or their users are too few.
    """
    positive = metrics.positives(train)
    users = np.asarray(positive.sum(axis=0)).ravel().astype(np.float64)
    usable = np.flatnonzero((users > 0) & features.there)
    each = min(int(len(usable) * config.content.held_out_share), _MOST_ITEMS)
    if each < _LEAST_ITEMS:
        return None
    shuffled = np.random.default_rng(config.als.seed).permutation(usable).astype(np.int32)
    held_out = np.zeros(train.shape[1], dtype=np.bool_)
    held_out[shuffled[: 2 * each]] = True
    rest = _without(train, held_out)
    factors = fit_als(rest, config.als)
    warm = np.diff(rest.indptr) > 0
    choosing, reporting = (
        _part(positive, items, warm, config.als.seed)  # in no order, so that ties are broken by chance
        for items in (shuffled[:each], shuffled[each : 2 * each])
    )
    if not len(choosing.users) or not len(reporting.users):
        return None
    known = np.where(held_out, 0.0, users)
    ridge = Ridge(features.matrix, factors.items, known)
    return HeldOutItems(choosing, reporting, factors, known, ridge, features)


def _without(train: csr_matrix, held_out: Bool) -> csr_matrix:
    rest = train.copy()
    rest.data[held_out[rest.indices]] = 0.0
    rest.eliminate_zeros()
    return rest


def _part(positive: csr_matrix, items: Int32, warm: Bool, seed: int) -> Part:
    taken = csr_matrix(positive[:, items])
    users = np.flatnonzero((np.diff(taken.indptr) > 0) & warm)
    if len(users) > _MOST_USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, _MOST_USERS, replace=False))
    return Part(items, users.astype(np.int32), csr_matrix(taken[users]))


def _measured(part: Part, content: Float32, features: Features, known: Float64, seed: int) -> dict[str, float]:
    popular = category_popularity(features, known, part.items)
    chance = np.random.default_rng(seed).random(content.shape)
    found: dict[str, float] = {"items": float(len(part.items)), "users": float(len(part.users))}
    rows = (content, np.broadcast_to(popular, content.shape), chance)
    for name, scores in zip(_NAMES, rows, strict=True):
        given = np.ascontiguousarray(scores, dtype=np.float32)
        found[f"ndcg@{_K} {name}"] = round(_ndcg(given, part.taken), 6)
        found[f"auc {name}"] = round(_auc(given, part.taken), 6)
    return found


def _ndcg(scores: Float32, taken: csr_matrix) -> float:
    ranked = best(scores, _K)
    return float(metrics.accuracy(ranked, taken, (_K,))[f"ndcg@{_K}"].mean(dtype=np.float64))


def _auc(scores: Float32, taken: csr_matrix) -> float:
    """The mean over users of how often an item that the user has is above one the user has not; ties count half."""
    order = np.sort(scores, axis=1)
    values = []
    for row in range(len(scores)):
        own = scores[row, taken.indices[taken.indptr[row] : taken.indptr[row + 1]]]
        n_others = scores.shape[1] - len(own)
        if n_others:
            below = np.searchsorted(order[row], own, "left") + np.searchsorted(order[row], own, "right")
            # Less the pairs of the user's own items among themselves, of which half are wins or all are halves.
            values.append((below.sum() / 2 - len(own) ** 2 / 2) / (len(own) * n_others))
    return float(np.mean(values)) if values else 0.5
