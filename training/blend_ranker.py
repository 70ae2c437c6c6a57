"""Ranking by a blend, through the service's own code, so that the lists measured are the lists served."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Float32, Int32
from recsvc.scoring.blend import BlendScorer
from training.half_step import cores
from training.metrics import positives


class BlendRanker:
    """Scores by `recsvc.scoring.blend.BlendScorer`, one user after another, on all cores.

    `user_factors` float32 (n_users, n_factors); `train` float32 users × items, signed confidence: its positive part is
    the users' history.
    """

    def __init__(self, name: str, scorer: BlendScorer, user_factors: Float32, train: csr_matrix) -> None:
        self.name = name
        self._scorer = scorer
        self._user_factors = user_factors
        self._history = positives(train)

    def rank(self, users: Int32, seen: csr_matrix, k: int) -> Int32:
        """See `Ranker.rank`."""
        ranked = np.full((len(users), k), -1, dtype=np.int32)

        def fill(place: int) -> None:
            user = int(users[place])
            allowed = np.ones(seen.shape[1], dtype=np.bool_)
            allowed[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
            best, _ = self._scorer.top(self._user_factors[user], self._of(user), k, allowed)
            ranked[place, : len(best)] = best

        self._each(fill, len(users))
        return ranked

    def score(self, users: Int32, items: Int32) -> Float32:
        """See `Ranker.score`."""
        scores = np.empty(items.shape, dtype=np.float32)

        def fill(place: int) -> None:
            user = int(users[place])
            scores[place] = self._scorer.score(self._user_factors[user], self._of(user), items[place])

        self._each(fill, len(users))
        return scores

    def _of(self, user: int) -> Int32:
        history = self._history
        return np.asarray(history.indices[history.indptr[user] : history.indptr[user + 1]], dtype=np.int32)

    @staticmethod
    def _each(fill: Callable[[int], None], n: int) -> None:
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(fill, range(n)):
                pass  # iterating raises here what a thread raised
