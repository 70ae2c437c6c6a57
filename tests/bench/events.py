"""Events over real HTTP into a Redis that flushes every write: the service on one core, Redis and load on another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import psutil
from redis import Redis

from tests.bench.measurement import Context, Measurement, of_samples
from tests.bench.service import Service, publish_champion

_RUNS: Final = 5
_SECONDS: Final = 3.0
_BATCH: Final = 100
_BATCH_CONNECTIONS: Final = 4
_SINGLE_CONNECTIONS: Final = 16
_WARM_UP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """Of one kind of call: calls a second, their milliseconds, and processor seconds by process."""

    per_second: float
    p50: float
    p99: float
    cpu: dict[str, float]
    calls: int


def measure(context: Context) -> list[Measurement]:
    """Calls of 100 events of 100 users, calls of one event, and their baselines, taking turns in the same service.

    Of the calls of 100 there are two kinds: events without a token, and with one to be verified for each.

    Every answer has to accept every event. The baselines: /healthz of the same service over as many connections, and
    bare XADD of the same bytes, 100 in a pipeline, into the same Redis from the same core.
    """
    models, state = context.scratch / "models", context.scratch / "state"
    publish_champion(models, 2_000, 3_000, 64)
    # Nothing reads the log here, and the limit must not end the run.
    with Service(models, state, event_workers=0, max_unwritten_events=100_000_000) as service:
        bench = _Bench(service, state)
        bench.run(_BATCH, _BATCH_CONNECTIONS, _WARM_UP_SECONDS)
        bench.run(1, _SINGLE_CONNECTIONS, _WARM_UP_SECONDS)
        batches, attributed, singles, healths, bare = [], [], [], [], []
        for _ in range(_RUNS):
            batches.append(bench.run(_BATCH, _BATCH_CONNECTIONS, _SECONDS))
            attributed.append(bench.run(_BATCH, _BATCH_CONNECTIONS, _SECONDS, tokens=True))
            singles.append(bench.run(1, _SINGLE_CONNECTIONS, _SECONDS))
            healths.append(bench.run(0, _SINGLE_CONNECTIONS, 1.0))
            bare.append(bench.bare_xadds(1.0))
    notes = [] if bench.pinned else ["the processes could not be pinned to cores of their own"]
    return [
        *_lines("events in calls of 100", batches, _BATCH, target=20_000, p99_target=50.0, notes=notes),
        _ratio("events in calls of 100 / bare XADD", [run.per_second * _BATCH for run in batches], bare),
        *_lines("the same with recommendation_id", attributed, _BATCH, target=20_000, p99_target=50.0, notes=()),
        *_lines("events in calls of 1", singles, 1, target=3_000, p99_target=None, notes=()),
        _ratio(
            "calls of one event / healthz", [run.per_second for run in singles], [run.per_second for run in healths]
        ),
    ]


class _Bench:
    """The load against one service, and what its processes spend meanwhile."""

    def __init__(self, service: Service, state: Path) -> None:
        self._port, self._state = service.port, state
        parent = psutil.Process(service.pid)
        children = parent.children(recursive=True)
        self._processes = {"service": [parent], "Redis": [c for c in children if "redis" in c.name()]}
        others = [child for child in children if child not in self._processes["Redis"]]
        if others:
            self._processes["worker"] = others
        self._socket = next(Path(path) for path in state.rglob("*.sock"))
        self._count = 0
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.pinned = len(cores) > 1
        self._core = cores[1] if self.pinned else -1
        if self.pinned:
            for name, processes in self._processes.items():
                for process in processes:
                    _pin(process, cores[0] if name == "service" else self._core)

    def run(self, events: int, connections: int, seconds: float, *, tokens: bool = False) -> Run:
        """Calls of that many events (0: of /healthz) for that long; with `tokens` each event brings a valid one."""
        self._count += 1
        before = self._cpu()
        arguments = [self._port, events, connections, self._count, self._core, seconds]
        options = ["--key", str(self._state / "token.key")] if tokens else []
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.event_load", *map(str, arguments), *options],
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        )
        after = self._cpu()
        result: dict[str, Any] = json.loads(done.stdout)
        p50, p99 = (float(value) for value in np.percentile(result["milliseconds"], [50, 99]))
        calls = len(result["milliseconds"])
        spent = {name: after[name] - before[name] for name in after}
        return Run(calls / result["seconds"], p50, p99, spent, calls)

    def bare_xadds(self, seconds: float) -> float:
        """Entries a second of 100 bytes, by pipelines of 100 to 100 streams."""
        payload = b"x" * 100
        redis = Redis(unix_socket_path=str(self._socket))
        names = [f"bench:{number}" for number in range(_BATCH)]
        before = os.sched_getaffinity(0) if self.pinned else set()
        if self.pinned:
            os.sched_setaffinity(0, {self._core})
        try:
            added, started = 0, time.perf_counter()
            while (taken := time.perf_counter() - started) < seconds:
                pipeline = redis.pipeline(transaction=False)
                for name in names:
                    pipeline.xadd(name, {"e": payload})
                added += len(pipeline.execute())
        finally:
            if self.pinned:
                os.sched_setaffinity(0, before)
        redis.delete(*names)
        redis.close()
        return added / taken

    def _cpu(self) -> dict[str, float]:
        spent = {}
        for name, processes in self._processes.items():
            times = [process.cpu_times() for process in processes]
            spent[name] = sum(each.user + each.system for each in times)
        return spent


def _pin(process: psutil.Process, core: int) -> None:
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})


def _lines(
    name: str, runs: Sequence[Run], events: int, *, target: float, p99_target: float | None, notes: Sequence[str]
) -> list[Measurement]:
    rates = [run.per_second * events for run in runs]
    lines = [
        of_samples(name, "/s", rates, target=target, at_least=True, notes=notes),
        of_samples(f"{name}: call p50", "ms", [run.p50 for run in runs]),
        of_samples(f"{name}: call p99", "ms", [run.p99 for run in runs], target=p99_target),
    ]
    for process in runs[0].cpu:
        microseconds = [run.cpu[process] / (run.calls * events) * 1e6 for run in runs]
        lines.append(of_samples(f"{name}: CPU of {process} an event", "µs", microseconds))
    return lines


def _ratio(name: str, ours: Sequence[float], bare: Sequence[float]) -> Measurement:
    details = {"ours": list(ours), "bare": list(bare)}
    return Measurement(name, "×", median(ours) / median(bare), details=details, at_least=True)
