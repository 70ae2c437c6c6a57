"""Recommendations that were answered before, against a bare ASGI callable, one with Redis, and a tutorial's service.

10,000 users by a Zipf law, 32 connections, 20 items, an experiment that all users are in; the service on one core, the
client and Redis on the other. All servers run side by side and take turns.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np
import redis

from tests.bench.connection import Connection
from tests.bench.load.driver import Run, baseline, drive, free_port, pin_service, zipf_targets
from tests.bench.measurement import Context, Measurement, of_samples
from tests.bench.service import Service, publish_champion

_USERS: Final = 10_000
_ITEMS: Final = 3_000
_FACTORS: Final = 64
_DRAWS: Final = 50_000
_CONNECTIONS: Final = 32
_RUNS: Final = 5
_SECONDS: Final = 3.0
_SEQUENTIAL: Final = 3_000
_MARK: Final = '"experiment":"bench"'


def measure(context: Context) -> list[Measurement]:
    """Requests a second in a closed loop, and the latencies of one request after the other."""
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    targets = zipf_targets(users, _DRAWS)
    with ExitStack() as opened:
        service = opened.enter_context(Service(models, state))
        _start_experiment(service.port)
        first = Connection(service.port)
        body = first.get(targets[0])[1]
        for user in users:
            first.get(f"/v1/users/{user}/recommendations?limit=20")
        first.close()
        redis_url = f"unix://{next(state.rglob('*.sock'))}"
        _fill(redis_url, users, body)
        (context.scratch / "body").write_bytes(body)
        environ = {
            "BENCH_BODY": str(context.scratch / "body"),
            "BENCH_REDIS": redis_url,
            "BENCH_MODELS": str(models),
        }
        servers = {"service": (service.port, pin_service(service.pid))}
        for name in ("bare", "skeleton", "tutorial"):
            port = free_port()
            servers[name] = (port, [opened.enter_context(baseline(name, port, **environ))])
        runs: dict[str, list[Run]] = {name: [] for name in servers}
        for turn in range(_RUNS + 1):
            for name, (port, processes) in servers.items():
                mark = "" if name == "tutorial" else _MARK
                seconds = _SECONDS if turn else 1.0
                run = drive(port, targets, connections=_CONNECTIONS, seconds=seconds, servers=processes, mark=mark)
                if turn:  # the first is to warm up
                    runs[name].append(run)
        sequential = _sequential(service.port, targets)
    p50, p99 = (float(value) for value in np.percentile(sequential, [50, 99]))
    return [
        *(of_samples(f"{name}: answers", "/s", [run.per_second for run in found]) for name, found in runs.items()),
        *(
            of_samples(f"{name}: CPU an answer", "µs", [r.cpu_microseconds for r in found])
            for name, found in runs.items()
        ),
        _ratio("cached / bare ASGI", runs["service"], runs["bare"], 0.5),
        _ratio("cached / ASGI and MGET", runs["service"], runs["skeleton"], 0.7),
        _ratio("cached / tutorial", runs["service"], runs["tutorial"], 4.0),
        of_samples("cached: p99 of 32 connections", "ms", [run.p99 for run in runs["service"]], target=5.0),
        Measurement("cached: one after the other, p50", "ms", p50, 0.34),
        Measurement("cached: one after the other, p99", "ms", p99),
    ]


def _start_experiment(port: int) -> None:
    """Two variants with the same model: what is measured is being in an experiment."""
    definition = {"variants": [{"key": "control", "weight": 0.5}, {"key": "treatment", "weight": 0.5}]}
    calls = (("PUT", "/v1/experiments/bench", json.dumps(definition)), ("POST", "/v1/experiments/bench:start", None))
    for method, path, body in calls:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()
        connection.close()
    time.sleep(1.0)  # by then every process knows of it


def _fill(redis_url: str, users: Sequence[str], body: bytes) -> None:
    with redis.Redis.from_url(redis_url) as client:
        pipeline = client.pipeline(transaction=False)
        for user in users:
            pipeline.set(f"list:{user}", body, ex=3600)
        pipeline.execute()


def _sequential(port: int, targets: Sequence[str]) -> list[float]:
    connection = Connection(port)
    try:
        return [connection.get(target)[2] for target in targets[:_SEQUENTIAL]]
    finally:
        connection.close()


def _ratio(name: str, ours: Sequence[Run], theirs: Sequence[Run], target: float) -> Measurement:
    ratios = [own.per_second / other.per_second for own, other in zip(ours, theirs, strict=True)]
    return of_samples(name, "×", ratios, target=target, at_least=True)
