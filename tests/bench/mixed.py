"""A service under a mixture of requests: nine in ten for users who were answered before, drawn by a Zipf law, one in
ten for a user who was not. First as many as go, then half of that at random moments, then twice that for a minute."""

from __future__ import annotations

import os
from typing import Final

import numpy as np

from tests.bench.connection import Connection
from tests.bench.load.driver import Run, drive, pin_service, zipf_targets
from tests.bench.measurement import Context, Measurement, of_samples
from tests.bench.service import Service, publish_champion

_KNOWN: Final = 10_000
_USERS: Final = 200_000
_ITEMS: Final = 41_000
_FACTORS: Final = 128
_CONNECTIONS: Final = 32
_PEAK_RUNS: Final = 3
_PEAK_SECONDS: Final = 5.0
_MANY_CONNECTIONS: Final = 512
_MIXED_SECONDS: Final = float(os.environ.get("BENCH_MIXED_SECONDS", "60"))
_OVERLOAD_SECONDS: Final = float(os.environ.get("BENCH_OVERLOAD_SECONDS", "60"))


def measure(context: Context) -> list[Measurement]:
    """BENCH_MIXED_SECONDS and BENCH_OVERLOAD_SECONDS say how long the last two parts take, 60 each."""
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    known, fresh = users[:_KNOWN], iter(users[_KNOWN:])
    with Service(models, state) as service:
        servers = pin_service(service.pid)
        connection = Connection(service.port)
        for user in known:
            connection.get(f"/v1/users/{user}/recommendations?limit=20")

        def drive_at(rate: float, seconds: float, connections: int, count: int) -> Run:
            targets = zipf_targets(known, count)
            for place in range(0, count, 10):
                targets[place] = f"/v1/users/{next(fresh)}/recommendations?limit=20"
            return drive(
                service.port,
                targets,
                connections=connections,
                seconds=seconds,
                servers=servers,
                rate=rate,
                every=True,
            )

        drive_at(0, 2.0, _CONNECTIONS, 10_000)
        peaks = [drive_at(0, _PEAK_SECONDS, _CONNECTIONS, 40_000) for _ in range(_PEAK_RUNS)]
        peak = float(np.median([run.per_second for run in peaks]))
        half = drive_at(peak / 2, _MIXED_SECONDS, _CONNECTIONS * 2, int(peak / 2 * _MIXED_SECONDS) + 10)
        over = drive_at(peak * 2, _OVERLOAD_SECONDS, _MANY_CONNECTIONS, int(peak * 2 * _OVERLOAD_SECONDS) + 10)
        after = drive_at(peak / 2, 5.0, _CONNECTIONS * 2, int(peak / 2 * 5) + 10)
        connection.close()
    errors = sum(count for status, count in half.statuses.items() if status != "200")
    sheds = over.statuses.get("503", 0)
    return [
        of_samples("mixed: peak", "/s", [run.per_second for run in peaks], details={"statuses": peaks[0].statuses}),
        Measurement(f"mixed: half of the peak for {_MIXED_SECONDS:.0f} s, p99", "ms", half.p99, 15.0),
        Measurement("mixed: the same, p50", "ms", half.p50),
        Measurement("mixed: the same, errors", "", errors, 0, details=half.statuses),
        Measurement(f"overload: twice the peak for {_OVERLOAD_SECONDS:.0f} s, answered", "/s", over.per_second),
        Measurement("overload: p99 of what was answered", "ms", over.p99, details=over.statuses),
        Measurement("overload: shed", "%", 100 * sheds / max(sum(over.statuses.values()), 1)),
        Measurement("overload: connections lost", "", over.raw["lost_connections"], 0),
        Measurement("overload: p99 of the second after it", "ms", _first_second(after), 15.0),
        Measurement("overload: p99 of the 5 s after it", "ms", after.p99),
    ]


def _first_second(run: Run) -> float:
    """p99 of the answers that came in the first second."""
    taken, ends = np.array(run.raw["milliseconds"]), np.array(run.raw["ends"])
    return float(np.percentile(taken[ends < 1.0], 99)) if (ends < 1.0).any() else float("nan")
