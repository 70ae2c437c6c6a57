"""Every user's best items by `make batch`'s ranking, against `implicit` and against the bare products."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle
from recsvc.eventlog.tombstones import Tombstones
from tests.bench.generated import index_config, publish_generated
from tests.bench.measurement import Context, Measurement, of_samples, ratio_of_medians
from training.batch.ranking import ByFactors, all_lists
from training.batch.run import run_batch
from training.half_step import cores
from training.progress import Progress

_USERS: Final = 10_000
_ITEMS: Final = 50_000
_FACTORS: Final = 64
_K: Final = 100
_ROUNDS: Final = 5
_PRODUCT_USERS: Final = 128
"""At a time, on each core: of 64, 128 and 256 the fastest."""
_IMPLICIT_BATCH: Final = 1_024


def measure(context: Context) -> list[Measurement]:
    """The best 100 unseen of 50,000 items for 20,000 users, in turns with what it is compared to; then the whole
    command once, to Parquet. Lists have to agree with `implicit`'s."""
    exact = index_config().model_copy(update={"latency_ms": 1e6})
    path = context.scratch / publish_generated(context.scratch, _USERS, _ITEMS, _FACTORS, config=exact)
    bundle = open_bundle(path, None)
    ours = _ours(bundle)
    seen, model = _seen(bundle), _implicit(bundle)
    users = np.arange(_USERS)

    def implicit() -> None:
        for start in range(0, _USERS, _IMPLICIT_BATCH):
            part = users[start : start + _IMPLICIT_BATCH]
            model.recommend(part, seen[part], N=_K, filter_already_liked_items=True)

    _agree(bundle, model, seen)
    samples = _in_turns([ours, implicit, lambda: _products(bundle)])
    whole = _seconds(lambda: run_batch(bundle, context.scratch / "out", _K, Tombstones(), Progress(quiet=True)))
    rates = [[_USERS / seconds for seconds in own] for own in samples]
    size = f"best {_K} of {_ITEMS:,} items × {_FACTORS}"
    return [
        of_samples(f"{size}, for every user", "users/s", rates[0], at_least=True),
        Measurement(
            f"{size} / implicit",
            "×",
            ratio_of_medians(rates[0], rates[1]),
            target=1.5,
            at_least=True,
            details={"implicit_users_per_second": rates[1]},
            notes=[f"implicit: {np.median(rates[1]):,.0f} users/s"],
        ),
        Measurement(
            f"{size}: time / the products alone",
            "×",
            ratio_of_medians(samples[0], samples[2]),
            target=1.3,
            details={"products_users_per_second": rates[2]},
            notes=[f"the products alone: {np.median(rates[2]):,.0f} users/s"],
        ),
        Measurement(f"{size}: the same to Parquet", "users/s", _USERS / whole, at_least=True),
    ]


def _ours(bundle: Bundle) -> Callable[[], None]:
    lister = ByFactors(bundle)

    def run() -> None:
        for _ in all_lists(lister, 0, _USERS, _K):
            pass

    return run


def _products(bundle: Bundle) -> None:
    """The products alone, in the same blocks on as many threads."""
    by_factor, size = np.ascontiguousarray(bundle.item_factors.T), _PRODUCT_USERS

    def stretch(start: int) -> None:
        out = np.empty((size, _ITEMS), dtype=np.float32)
        for first in range(start, min(start + 16 * size, _USERS), size):
            block = bundle.user_factors[first : min(first + size, _USERS)]
            np.matmul(block, by_factor, out=out[: len(block)])

    with threadpool_limits(limits=1), ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(stretch, range(0, _USERS, 16 * size)):
            pass


def _implicit(bundle: Bundle) -> AlternatingLeastSquares:
    model = AlternatingLeastSquares(factors=_FACTORS, num_threads=cores())
    model.user_factors, model.item_factors = bundle.user_factors.copy(), bundle.item_factors.copy()
    return model


def _seen(bundle: Bundle) -> csr_matrix:
    own = bundle.interactions
    return csr_matrix((own.confidence, own.items, own.indptr), shape=(_USERS, _ITEMS))


def _agree(bundle: Bundle, model: AlternatingLeastSquares, seen: csr_matrix) -> None:
    part = np.arange(256)
    theirs, _ = model.recommend(part, seen[part], N=_K, filter_already_liked_items=True)
    ours = ByFactors(bundle).lists(0, 256, _K).items
    shared = np.mean([len(np.intersect1d(a, b)) / _K for a, b in zip(ours, theirs, strict=True)])
    if shared < 0.999:
        raise AssertionError(f"the lists are not those of implicit: {shared:.4f} of the items are shared")


def _in_turns(actions: list[Callable[[], None]]) -> list[list[float]]:
    for action in actions:
        action()
    samples: list[list[float]] = [[] for _ in actions]
    for _ in range(_ROUNDS):
        for action, own in zip(actions, samples, strict=True):
            own.append(_seconds(action))
    return samples


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
