"""Lists computed as on a miss, in-process, by two models in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import faiss
from threadpoolctl import threadpool_limits

from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel
from recsvc.serving.sources import for_user


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS and BLAS on one thread each, as in the service."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        faiss.omp_set_num_threads(threads)


def in_turns(
    models: Sequence[ServedModel], users: Sequence[Knowledge], depth: int, now: float, warm_up: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of each user's list under two models, user by user, so that the machine's moods meet both.

    The first `warm_up` users do not count.
    """
    samples: tuple[list[float], list[float]] = ([], [])
    for number, known in enumerate(users):
        for model, kept in zip(models, samples, strict=True):
            started = time.perf_counter()
            for_user(model, known, (), depth, now)
            if number >= warm_up:
                kept.append((time.perf_counter() - started) * 1000)
    return samples
