"""The event worker beside 20,000 events a second: does what waits in Redis grow?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from redis import Redis

from recsvc.eventlog.position import PARTITIONS
from recsvc.eventlog.reader import snapshot
from recsvc.store.keys import log_key
from tests.bench.measurement import Context, Measurement
from tests.bench.service import Service, publish_champion

_RATE: Final = 20_000
_SECONDS: Final = 60.0
_BATCH: Final = 100
_CONNECTIONS: Final = 4
_DRAIN_SECONDS: Final = 60.0
_GROWTH: Final = 1_000.0
"""Events a second by which the waiting ones may seem to grow: they come and go in steps of the flushes."""


def measure(context: Context) -> list[Measurement]:
    """A minute of 20,000 events/s over HTTP with the default settings: what waits, and what the worker spends.

    Afterwards every accepted event has to be in the log, once.
    """
    models, state = context.scratch / "models", context.scratch / "state"
    publish_champion(models, 2_000, 3_000, 64)
    with Service(models, state, event_workers=1) as service:
        parent = psutil.Process(service.pid)
        worker = next(child for child in parent.children() if "recsvc.worker" in " ".join(child.cmdline()))
        before = _spent(worker)
        said = context.scratch / "load.json"
        load = _start_load(service.port, said)
        redis = Redis(unix_socket_path=str(next(Path(path) for path in state.rglob("*.sock"))))
        at, waiting = _watch(redis, load)
        if load.wait():
            raise RuntimeError("an event was not accepted")
        done = json.loads(said.read_bytes())
        accepted = len(done["milliseconds"]) * _BATCH
        drained = _drain(redis)
        spent = _spent(worker) - before
        redis.close()
    rows = snapshot(state / "events").rows
    if rows != accepted:
        raise RuntimeError(f"{accepted:,} events were accepted, the log has {rows:,}")
    steady = len(at) // 4
    growth = float(np.polyfit(at[steady:], waiting[steady:], 1)[0])
    name = "a worker beside 20,000 events/s"
    return [
        Measurement(f"{name}: accepted", "/s", accepted / done["seconds"], target=0.99 * _RATE, at_least=True),
        Measurement(f"{name}: call p99", "ms", float(np.percentile(done["milliseconds"], 99)), target=50.0),
        Measurement(
            f"{name}: growth of what waits",
            "/s",
            growth,
            target=_GROWTH,
            details={"seconds": at, "waiting": waiting},
            notes=[f"{accepted:,} events, all of them in the log once; at most {max(waiting):,} waited"],
        ),
        Measurement(f"{name}: the rest written after", "s", drained),
        Measurement(f"{name}: CPU of the worker an event", "µs", spent / accepted * 1e6),
    ]


def _start_load(port: int, said: Path) -> subprocess.Popen[bytes]:
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1
    arguments = [port, _BATCH, _CONNECTIONS, 1, core, _SECONDS, "--rate", _RATE]
    command = [sys.executable, "-m", "tests.bench.event_load", *map(str, arguments)]
    with said.open("wb") as file:  # nobody would read a pipe meanwhile
        return subprocess.Popen(command, stdout=file)


def _watch(redis: Redis, load: subprocess.Popen[bytes]) -> tuple[list[float], list[int]]:
    """Twice a second, until the load is nearly over: seconds since the start, and events that wait."""
    started = time.perf_counter()
    at: list[float] = []
    waiting: list[int] = []
    while load.poll() is None and (now := time.perf_counter() - started) < _SECONDS:
        at.append(now)
        waiting.append(_waiting(redis))
        time.sleep(0.5)
    return at, waiting


def _drain(redis: Redis) -> float:
    started = time.perf_counter()
    while _waiting(redis):
        if time.perf_counter() - started > _DRAIN_SECONDS:
            raise RuntimeError("the worker did not write what waits")
        time.sleep(0.1)
    return time.perf_counter() - started


def _waiting(redis: Redis) -> int:
    pipeline = redis.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xlen(log_key(partition))
    return int(sum(pipeline.execute()))


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
