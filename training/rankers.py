"""What evaluation compares: anything that ranks items for users, the model and its baselines alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32, Int32
from training.errors import TrainingError
from training.metrics import positives
from training.neighbours import counted_similarity

Index: TypeAlias = npt.NDArray[np.integer[Any]]

_SCORES_PER_BLOCK = 4_000_000
"""Scores held at once: 16 MB as float32, four times that while they are ranked."""


class Ranker(Protocol):
    """Ranks items for users by a score of its own.

    Both methods are deterministic: equal scores are ranked by item row, the lowest first.
    """

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        ...

    def rank(self, users: Int32, seen: csr_matrix, k: int) -> Int32:
        """The best k items of each user, none of them in the user's row of `seen`.

        `users` int32 (m,) user rows; `seen` CSR (n_users, n_items), all users. Returns int32 (m, k), best
        first, -1 where a list is short.
        """
        ...

    def score(self, users: Int32, items: Int32) -> Float32:
        """The score of given items; `items` int32 (m, c), row j for users[j]. Returns float32 (m, c)."""
        ...


class FactorRanker:
    """Scores by the inner product of user and item factors.

    `user_factors` float32 (n_users, n_factors), `item_factors` float32 (n_items, n_factors).
    Raises TrainingError where a factor is not finite.
    """

    def __init__(self, name: str, user_factors: Float32, item_factors: Float32) -> None:
        for side, factors in (("user", user_factors), ("item", item_factors)):
            if not np.isfinite(factors).all():
                raise TrainingError(
                    f"{name}: the {side} factors are not finite: the fit diverged; raise the regularisation"
                )
        self.name = name
        self._user_factors = user_factors
        self._item_factors = item_factors

    def rank(self, users: Int32, seen: csr_matrix, k: int) -> Int32:
        """See `Ranker.rank`."""
        ranked = np.empty((len(users), k), dtype=np.int32)
        for block in _blocks(len(users), len(self._item_factors)):
            scores = self._user_factors[users[block]] @ self._item_factors.T
            ranked[block] = best(_without_seen(scores, seen, users[block]), k)
        return ranked

    def score(self, users: Int32, items: Int32) -> Float32:
        """See `Ranker.score`."""
        scores = np.empty(items.shape, dtype=np.float32)
        for block in _blocks(len(users), items.shape[1] * self._item_factors.shape[1]):
            vectors = self._item_factors[items[block]]
            scores[block] = np.einsum("mf,mcf->mc", self._user_factors[users[block]], vectors)
        return scores


class PopularityRanker:
    """Everybody gets the most popular items they have not seen; `popularity` float32 (n_items,)."""

    def __init__(self, popularity: Float32, name: str = "popularity") -> None:
        self.name = name
        self._popularity = popularity
        self._order = np.argsort(-popularity, kind="stable").astype(np.int32)
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(self._order), dtype=np.int32)

    def rank(self, users: Int32, seen: csr_matrix, k: int) -> Int32:
        """See `Ranker.rank`."""
        ranked = np.full((len(users), k), -1, dtype=np.int32)
        n_seen = np.diff(seen.indptr)[users]
        # k unseen items are always among the first k + (most seen by anybody).
        depth = min(len(self._order), k + int(n_seen.max(initial=0)))
        for block in _blocks(len(users), depth):
            entries, owners = _entries(seen, users[block])
            places = self._place[entries]
            used = np.zeros((len(owners), depth), dtype=np.bool_)
            rows = np.repeat(np.arange(len(owners)), owners)
            used[rows[places < depth], places[places < depth]] = True
            free = np.argsort(used, axis=1, kind="stable")[:, :k]
            short = np.take_along_axis(used, free, axis=1)
            ranked[block, : free.shape[1]] = np.where(short, -1, self._order[free])
        return ranked

    def score(self, users: Int32, items: Int32) -> Float32:
        """See `Ranker.score`."""
        return self._popularity[items]


class ItemItemRanker:
    """Neighbourhood baseline: an item scores its summed similarity to those of the user's items it is most like.

    Each item has `neighbours` most similar items, itself included (`training.neighbours.counted_similarity`).
    `train` is the signed matrix; only its positive part counts, each pair as 1. `similarity` "cosine" or "bm25". An
    item that is like none of the user's is not recommended, so lists may be short.
    """

    def __init__(
        self,
        train: csr_matrix,
        *,
        neighbours: int = 100,
        similarity: Literal["cosine", "bm25"] = "cosine",
        threads: int = 0,
        name: str = "item-item",
    ) -> None:
        self.name = name
        self._train = positives(train)
        self._similarity = counted_similarity(train, similarity, neighbours, threads=threads)

    def rank(self, users: Int32, seen: csr_matrix, k: int) -> Int32:
        """See `Ranker.rank`."""
        ranked = np.empty((len(users), k), dtype=np.int32)
        for block in _blocks(len(users), self._similarity.shape[0]):
            # Most items score 0: only the others are ranked.
            scores = (self._train[users[block]] @ self._similarity).tocoo()
            entries, owners = _entries(seen, users[block])
            is_seen = np.zeros(scores.shape, dtype=np.bool_)
            is_seen[np.repeat(np.arange(len(owners)), owners), entries] = True
            rows, columns = scores.coords
            kept = (scores.data > 0) & ~is_seen[rows, columns]
            ranked[block] = _listed(rows[kept], columns[kept], scores.data[kept], len(owners), k)
        return ranked

    def score(self, users: Int32, items: Int32) -> Float32:
        """See `Ranker.score`."""
        scores = np.empty(items.shape, dtype=np.float32)
        for block in _blocks(len(users), self._similarity.shape[0]):
            product = (self._train[users[block]] @ self._similarity).toarray()
            scores[block] = np.take_along_axis(product, items[block], axis=1)
        return scores


def best(scores: Float32, k: int) -> Int32:
    """The columns of the k highest scores of each row, highest first, equal scores by lowest column.

    `scores` float32 (m, n), -inf for what must not be recommended. Returns int32 (m, k), -1 where fewer are
    left.
    """
    n_rows, n_columns = scores.shape
    width = min(k, n_columns)
    if not width or not n_rows:
        return np.full((n_rows, k), -1, dtype=np.int32)
    # Partitioning values is vectorised and picks no side in a tie; argpartition is slow where many are -inf.
    last = np.partition(scores, n_columns - width, axis=1)[:, n_columns - width]
    rows, columns = np.nonzero((scores >= last[:, None]) & (scores > -np.inf))
    return _listed(rows, columns, scores[rows, columns], n_rows, k)


def _listed(rows: Index, columns: Index, scores: Float32, n_rows: int, k: int) -> Int32:
    """The first k columns of each row by score, then column; int32 (n_rows, k), padded with -1."""
    order = np.lexsort((columns, -scores, rows))
    rows, columns = rows[order], columns[order]
    n_found = np.bincount(rows, minlength=n_rows)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(n_found) - n_found, n_found)
    kept = place < k
    ranked = np.full((n_rows, k), -1, dtype=np.int32)
    ranked[rows[kept], place[kept]] = columns[kept]
    return ranked


def _without_seen(scores: Float32, seen: csr_matrix, users: Int32) -> Float32:
    entries, owners = _entries(seen, users)
    scores[np.repeat(np.arange(len(users)), owners), entries] = -np.inf
    return scores


def _entries(seen: csr_matrix, users: Int32) -> tuple[Int32, Int32]:
    """The seen items of the users, one after another, and how many each has."""
    rows = seen[users]
    return rows.indices, np.diff(rows.indptr)


def _blocks(n_users: int, scores_per_user: int) -> Iterator[slice]:
    """Slices of users whose scores fit in `_SCORES_PER_BLOCK`."""
    size = max(1, _SCORES_PER_BLOCK // max(scores_per_user, 1))
    for start in range(0, n_users, size):
        yield slice(start, min(start + size, n_users))
