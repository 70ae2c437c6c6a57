"""Cached recommendations over 1 to 256 connections: what a request costs, how long it takes, what memory it needs."""

from __future__ import annotations

from typing import Final

from tests.bench.connection import Connection
from tests.bench.load.driver import drive, pin_service, zipf_targets
from tests.bench.measurement import Context, Measurement
from tests.bench.service import Service, publish_champion

_CONNECTIONS: Final = (1, 4, 16, 64, 256)
_USERS: Final = 10_000
_ITEMS: Final = 3_000
_FACTORS: Final = 64
_SECONDS: Final = 3.0


def measure(context: Context) -> list[Measurement]:
    """A closed loop of each number of connections, users by a Zipf law."""
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    targets = zipf_targets(users, 50_000)
    lines: list[Measurement] = []
    with Service(models, state, max_requests_in_progress=512) as service:
        servers = pin_service(service.pid)
        warm = Connection(service.port)
        for user in users:
            warm.get(f"/v1/users/{user}/recommendations?limit=20")
        warm.close()
        for connections in _CONNECTIONS:
            run = drive(service.port, targets, connections=connections, seconds=_SECONDS, servers=servers)
            memory = servers[0].memory_full_info().uss / 1e6
            notes = [f"p50 {run.p50:.2f}, p99 {run.p99:.2f} ms; private memory {memory:.0f} MB"]
            lines += [
                Measurement(
                    f"{connections} connections: CPU an answer",
                    "µs",
                    run.cpu_microseconds,
                    notes=notes,
                    details={"per_second": run.per_second, "p50": run.p50, "p99": run.p99, "memory_mb": memory},
                ),
                Measurement(f"{connections} connections: answers", "/s", run.per_second),
            ]
    return lines
