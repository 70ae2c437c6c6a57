"""How many ALS iterations to run, chosen on pairs held out of those that are trained on."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Bool, Float32
from training.als import exact_users, fit_als
from training.config import AlsConfig
from training.metrics import accuracy
from training.rankers import FactorRanker

_HELD_OUT: Final = 0.1
"""Share of each user's positive pairs; one at least."""
_LEAST_POSITIVES: Final = 4
"""A user with fewer keeps all."""
_K: Final = 10


def with_chosen_iterations(confidence: csr_matrix, config: AlsConfig) -> AlsConfig:
    """The settings with the best number of iterations for this matrix; as they are without `patience`.

    `confidence` float32 users × items signed, as `fit_als` takes it: only what is trained on, so no test part is
    seen. Without a user of at least four positive pairs nothing can be held out, and the number stays.
    """
    if not config.patience:
        return config
    train, test = held_out(confidence, config.seed)
    if not test.nnz:
        return config
    return config.model_copy(update={"iterations": best_iterations(train, train, test, config)})


def held_out(confidence: csr_matrix, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """A random tenth of each user's positive pairs, set apart: what is left, and those, float32 of ones."""
    owners = np.repeat(np.arange(confidence.shape[0]), np.diff(confidence.indptr))
    positive = np.flatnonzero(confidence.data > 0)
    positive = positive[np.lexsort((np.random.default_rng(seed).random(len(positive)), owners[positive]))]
    counts = np.bincount(owners[positive], minlength=confidence.shape[0])
    place = np.arange(len(positive)) - np.repeat(np.cumsum(counts) - counts, counts)
    wanted = np.where(counts < _LEAST_POSITIVES, 0, np.maximum(1, np.floor(counts * _HELD_OUT)))
    taken = np.zeros(confidence.nnz, dtype=np.bool_)
    taken[positive[place < np.repeat(wanted, counts)]] = True
    return _only(confidence, ~taken), _only(confidence, taken, ones=True)


def best_iterations(train: csr_matrix, seen: csr_matrix, test: csr_matrix, config: AlsConfig) -> int:
    """The number of iterations with the best mean NDCG@10 over the users with a row in `test`.

    `train` as `fit_als` takes it; `seen` is what lists leave out; `test` float32, 1 for each held-out positive, all
    users × items. The fit ends after `config.patience` iterations without improvement. Each time the users are solved
    exactly for the items of the moment, as they are served.
    """
    users = np.flatnonzero(np.diff(test.indptr)).astype(np.int32)
    wanted, known = csr_matrix(test[users]), csr_matrix(train[users])
    rows = np.arange(len(users), dtype=np.int32)
    hidden = csr_matrix(seen[users])
    found: list[float] = []

    def watch(_: int, __: Float32, items: Float32) -> bool:
        factors = exact_users(known, items, config.regularization, config.frequency_exponent)
        lists = FactorRanker("als", factors.users, items).rank(rows, hidden, _K)
        found.append(float(accuracy(lists, wanted, (_K,))[f"ndcg@{_K}"].mean()))
        return len(found) - 1 - int(np.argmax(found)) >= config.patience

    fit_als(train, config, watch=watch)
    return int(np.argmax(found)) + 1


def _only(confidence: csr_matrix, chosen: Bool, *, ones: bool = False) -> csr_matrix:
    rows = np.repeat(np.arange(confidence.shape[0]), np.diff(confidence.indptr))[chosen]
    data = np.ones(len(rows), dtype=np.float32) if ones else confidence.data[chosen]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=confidence.shape[0]))])
    return csr_matrix((data, confidence.indices[chosen], indptr), shape=confidence.shape)
