"""The measured process of `tests.bench.opening`: opens a bundle, answers, and says on standard output what it took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import UserRow
from recsvc.scoring.retrieval import top_items
from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel
from recsvc.serving.sources import for_newcomer, for_user
from tests.bench.misses import one_thread
from tests.builders import AS_OF

_REQUESTS: Final = 100
_SEARCHES: Final = 300
_DEPTH: Final = 100


def main(path: Path, receipts: Path) -> None:
    """Prints seconds, bytes of memory that no other process shares, and milliseconds of searches and of lists.

    What has `cpu` in its name is processor time.
    """
    before, started = private_bytes(), time.perf_counter()
    model = ServedModel(open_bundle(path, receipts))
    opened, opened_bytes = time.perf_counter() - started, private_bytes() - before
    rng = np.random.default_rng(1)
    users = rng.integers(0, model.bundle.manifest.n_users, _REQUESTS).tolist()
    with one_thread():
        first_newcomer = _milliseconds(lambda: for_newcomer(model, (), _DEPTH, AS_OF))
        newcomer = [_cpu_milliseconds(lambda: for_newcomer(model, (), _DEPTH, AS_OF)) for _ in range(10)]
        answers = [partial(for_user, model, known(model, row), (), _DEPTH, AS_OF) for row in users]
        lists = [_milliseconds(answer) for answer in answers]
        list_cpu = [_cpu_milliseconds(answer) for answer in answers]
        vectors = model.bundle.user_factors[rng.integers(0, model.bundle.manifest.n_users, _SEARCHES)]
        spent = [_cpu_milliseconds(lambda vector=v: top_items(model.bundle.index, vector, _DEPTH)) for v in vectors]
        searches = [_milliseconds(lambda vector=v: top_items(model.bundle.index, vector, _DEPTH)) for v in vectors]
    result = {
        "opened_seconds": opened,
        "opened_bytes": opened_bytes,
        "served_bytes": private_bytes() - before,
        "requests": _REQUESTS,
        "first_list_ms": lists[0],
        "list_ms": float(np.median(lists[1:])),
        "list_p99_ms": float(np.percentile(lists[1:], 99)),
        "first_newcomer_ms": first_newcomer,
        "list_cpu_ms": float(np.median(list_cpu)),
        "newcomer_cpu_ms": float(np.median(newcomer)),
        "search_ms": float(np.median(searches)),
        "search_cpu_p99_ms": float(np.percentile(spent, 99)),
        "search_p99_ms": float(np.percentile(searches, 99)),
    }
    print(json.dumps(result))


def known(model: ServedModel, row: int) -> Knowledge:
    """What is known of a stored user without news."""
    items, confidence = model.bundle.interactions.of(UserRow(row))
    return Knowledge(UserRow(row), items, confidence, np.zeros(len(items), dtype=np.bool_), items)


def private_bytes() -> int:
    """Memory that is this process's alone: what is mapped from files belongs to the machine's page cache."""
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/smaps_rollup does not say how much memory is anonymous")


def _milliseconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1e3


def _cpu_milliseconds(action: Callable[[], object]) -> float:
    """Of this thread: what a busy machine does not lengthen."""
    started = time.thread_time()
    action()
    return (time.thread_time() - started) * 1e3


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
