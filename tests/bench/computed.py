"""Recommendations that have to be computed: fold-in, search, filters, explanation, against the bare search of the same
vector, and over HTTP against a tutorial's service."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import Bundle
from recsvc.serving.knowledge import Knowledge
from recsvc.serving.served import ServedModel
from recsvc.serving.sources import for_user
from tests.bench.connection import Connection
from tests.bench.load.driver import baseline, free_port
from tests.bench.measurement import Context, Measurement, of_samples, ratio_of_medians
from tests.bench.misses import one_thread
from tests.bench.service import Service, publish_champion
from tests.builders import AS_OF

_USERS: Final = 4_000
_ITEMS: Final = 41_000
_FACTORS: Final = 128
_HISTORY: Final = 20
_DEPTH: Final = 100
_IN_PROCESS: Final = 1_000
_OVER_HTTP: Final = 1_000
_WARM_UP: Final = 50


def measure(context: Context) -> list[Measurement]:
    """In-process: one thread, a history of 20 items folded in, 100 candidates with their reasons, user by user in turns
    with `IndexFlatIP.search` of the same vector for 100. Over HTTP: each user's first request, 20 items, in turns."""
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    registry = Registry(models)
    version = registry.champion()
    assert version is not None
    bundle = open_bundle(registry.path(version), None)
    lists, searches = _in_process(bundle)
    environ = {"BENCH_BODY": "", "BENCH_MODELS": str(models)}
    with Service(models, state) as service:
        port = free_port()
        environ["BENCH_REDIS"] = f"unix://{next(state.rglob('*.sock'))}"
        with baseline("tutorial", port, **environ):
            ours, theirs = Connection(service.port), Connection(port)
            milliseconds: tuple[list[float], list[float]] = ([], [])
            for number, user in enumerate(users[: _WARM_UP + _OVER_HTTP]):
                target = f"/v1/users/{user}/recommendations?limit=20"
                for connection, kept in zip((ours, theirs), milliseconds, strict=True):
                    status, body, taken = connection.get(target)
                    assert status == 200, body
                    if number >= _WARM_UP:
                        kept.append(taken)
            ours.close()
            theirs.close()
    name = f"a list computed, {_ITEMS:,} items × {_FACTORS}"
    return [
        of_samples(f"{name}: in-process p50", "ms", lists),
        of_samples("IndexFlatIP.search of the same vector: p50", "ms", searches),
        Measurement("computed / IndexFlatIP.search, p50", "×", ratio_of_medians(lists, searches), 2.0),
        of_samples(f"{name}: over HTTP p50", "ms", milliseconds[0]),
        Measurement("the same: p99", "ms", float(np.percentile(milliseconds[0], 99))),
        of_samples("tutorial: over HTTP p50", "ms", milliseconds[1]),
        Measurement(
            "tutorial / computed, over HTTP",
            "×",
            ratio_of_medians(milliseconds[1], milliseconds[0]),
            3.0,
            at_least=True,
        ),
    ]


def _in_process(bundle: Bundle) -> tuple[list[float], list[float]]:
    model, rng = ServedModel(bundle), np.random.default_rng(5)
    lists: list[float] = []
    searches: list[float] = []
    with one_thread():
        for number in range(_WARM_UP + _IN_PROCESS):
            items = np.sort(rng.choice(_ITEMS, _HISTORY, replace=False)).astype(np.int32)
            known = Knowledge(None, items, np.full(_HISTORY, 5, np.float32), np.zeros(_HISTORY, np.bool_), items)
            started = time.perf_counter()
            found = for_user(model, known, (), _DEPTH, AS_OF)
            between = time.perf_counter()
            bundle.index.searcher.search(bundle.user_factors[number : number + 1], _DEPTH)
            ended = time.perf_counter()
            assert len(found) == _DEPTH
            if number >= _WARM_UP:
                lists.append((between - started) * 1e3)
                searches.append((ended - between) * 1e3)
    return lists, searches
