"""Starting a baseline, pinning processes to cores, and running the client against a port."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the client saw. `cpu_microseconds` of the server for each answer; latencies in milliseconds."""

    per_second: float
    cpu_microseconds: float
    p50: float
    p99: float
    statuses: dict[str, int]
    raw: dict[str, Any]


def cores() -> tuple[int, int] | None:
    """A core for the server and one for the client and Redis; None where this process may not choose."""
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (available[0], available[1]) if len(available) > 1 else None


def pin(process: psutil.Process, core: int) -> None:
    """Keeps all threads of the process on one core."""
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})


def pin_service(pid: int) -> list[psutil.Process]:
    """The service on the first core, its Redis on the second; returns the processes that answer."""
    chosen = cores()
    parent = psutil.Process(pid)
    children = parent.children(recursive=True)
    if chosen is not None:
        for process in [parent, *children]:
            pin(process, chosen[1] if "redis" in process.name() else chosen[0])
    return [parent]


@contextmanager
def baseline(name: str, port: int, **environ: str) -> Iterator[psutil.Process]:
    """One of `tests.bench.load.baselines` on uvicorn, on the first core."""
    factory = ["--factory"] if name == "tutorial" else []
    process = subprocess.Popen(
        [
            sys.executable, "-m", "uvicorn", f"tests.bench.load.baselines:{name}", *factory,
            "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log",
        ],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environ},  # as implicit advises
    )  # fmt: skip
    try:
        _wait_for(port, process)
        found = psutil.Process(process.pid)
        if (chosen := cores()) is not None:
            pin(found, chosen[0])
        yield found
    finally:
        process.terminate()
        process.wait(timeout=20)


def drive(
    port: int,
    targets: Sequence[str],
    *,
    connections: int,
    seconds: float,
    servers: Sequence[psutil.Process],
    rate: float = 0.0,
    mark: str = "",
    every: bool = False,
) -> Run:
    """Runs the client; `rate` 0 is a closed loop. Raises AssertionError for answers without `mark`, and where a 5xx
    other than 503 came."""
    chosen = cores()
    before = _cpu(servers)
    arguments = [port, connections, seconds, "--core", chosen[1] if chosen else -1, "--rate", rate, "--mark", mark]
    # A file: of a megabyte of latencies through a pipe the second half was once missing.
    with tempfile.TemporaryFile() as said:
        subprocess.run(
            [sys.executable, "-m", "tests.bench.load.client", *map(str, arguments), *(["--every"] if every else [])],
            input="\n".join(targets).encode("ascii"),
            stdout=said,
            check=True,
            timeout=seconds + 120,
        )
        spent = _cpu(servers) - before
        said.seek(0)
        raw: dict[str, Any] = json.load(said)
    if raw["wrong"]:
        raise AssertionError(f"{raw['wrong']} answers lacked {mark!r}")
    everything = sum(raw["statuses"].values())
    return Run(
        raw["answered"] / raw["seconds"],
        spent / max(everything, 1) * 1e6,
        raw["percentiles"]["50"],
        raw["percentiles"]["99"],
        raw["statuses"],
        raw,
    )


def zipf_targets(users: Sequence[str], count: int, *, exponent: float = 1.0, seed: int = 1) -> list[str]:
    """Requests of users drawn with probability ∝ 1 / rank^exponent."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(users) + 1) ** exponent
    drawn = rng.choice(len(users), size=count, p=weights / weights.sum())
    return [f"/v1/users/{users[place]}/recommendations?limit=20" for place in drawn.tolist()]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("a baseline did not start") from None
            time.sleep(0.02)
        else:
            return
