"""Lists for a person to judge: a few users, what they liked, and what the published model would show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.bundle.manifest import BlendSpec
from recsvc.bundle.types import Float32, Int32, ItemRow, UserRow
from recsvc.bundle.writer import Contents
from recsvc.scoring.blend import BlendScorer
from recsvc.scoring.retrieval import top_items


@dataclass(frozen=True, slots=True)
class ExampleUser:
    """One user: `liked` the items held with most confidence, `recommended` best first; titles, else item ids."""

    user: str
    n_liked: int
    liked: tuple[str, ...]
    recommended: tuple[str, ...]


def example_lists(
    contents: Contents, blend: BlendSpec | None, n_users: int = 6, length: int = 8
) -> tuple[ExampleUser, ...]:
    """Users spread evenly from the least to the most active, with at most `length` titles in each list.

    `blend` the weights of the model's components, None where the factors alone are the score. Only users with a
    positive interaction are taken, so there may be fewer than `n_users`, or none.
    """
    scorer = None if blend is None else _scorer(contents, blend)
    interactions = contents.interactions
    positive = np.concatenate(([0], np.cumsum(interactions.confidence > 0)))
    n_positive = positive[interactions.indptr[1:]] - positive[interactions.indptr[:-1]]
    by_activity = np.argsort(n_positive, kind="stable")[int((n_positive == 0).sum()) :]
    places = np.unique(np.linspace(0, len(by_activity) - 1, n_users).astype(np.int64))
    chosen = by_activity[places] if len(by_activity) else by_activity
    return tuple(_example(contents, scorer, UserRow(int(row)), length) for row in chosen)


def _scorer(contents: Contents, blend: BlendSpec) -> BlendScorer:
    return BlendScorer(
        contents.index, contents.item_factors, contents.neighbours, contents.popularity, blend, contents.spectrum
    )


def _example(contents: Contents, scorer: BlendScorer | None, user: UserRow, length: int) -> ExampleUser:
    items, confidence = contents.interactions.of(user)
    liked = _by_confidence(items, confidence)
    allowed = np.ones(len(contents.items), dtype=np.bool_)
    allowed[items] = False
    vector = contents.user_factors[user]
    if scorer is None:
        found, _ = top_items(contents.index, vector, length, allowed)
    else:
        found, _ = scorer.top(vector, items[confidence > 0], length, allowed)
    return ExampleUser(
        user=contents.users[user],
        n_liked=len(liked),
        liked=tuple(_label(contents, int(item)) for item in liked[:length]),
        recommended=tuple(_label(contents, int(item)) for item in found),
    )


def _by_confidence(items: Int32, confidence: Float32) -> Int32:
    order = np.argsort(-confidence, kind="stable")
    return items[order[: int((confidence > 0).sum())]]


def _label(contents: Contents, item: int) -> str:
    return contents.catalogue.title(ItemRow(item)) or contents.items[item]
