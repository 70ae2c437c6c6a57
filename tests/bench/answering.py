"""Recommendations over real HTTP, one request after the other, against /healthz of the same server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

import numpy as np

from tests.bench.connection import Connection
from tests.bench.measurement import Context, Measurement
from tests.bench.service import Service, publish_champion

_USERS: Final = 2_000
_ITEMS: Final = 3_000
_FACTORS: Final = 64
_WARM_UP_USERS: Final = 100
_REPEATS: Final = 2


def measure(context: Context) -> list[Measurement]:
    """p50 and p99 of each user's first request (computed), of the next ones (cached), and of /healthz.

    The three kinds alternate in blocks of 100. The server's own counters must agree that they were misses and hits.
    """
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    computed: list[float] = []
    cached: list[float] = []
    health: list[float] = []
    with Service(models, state) as service:
        connection = Connection(service.port)
        try:
            _ask(connection, map(_target, users[:_WARM_UP_USERS]))
            _ask(connection, ["/healthz"] * 500)
            before = _cache_outcomes(connection)
            for start in range(_WARM_UP_USERS, _USERS, 100):
                block = [_target(user) for user in users[start : start + 100]]
                health += _ask(connection, ["/healthz"] * 100)
                computed += _ask(connection, block)
                for _ in range(_REPEATS):
                    cached += _ask(connection, block)
            outcomes = {name: count - before.get(name, 0) for name, count in _cache_outcomes(connection).items()}
        finally:
            connection.close()
    if outcomes.get("miss") != len(computed) or outcomes.get("hit") != len(cached):
        raise AssertionError(f"{len(computed)} misses and {len(cached)} hits were meant, and there were {outcomes}")
    return [
        *_lines("cached recommendation", cached, health),
        *_lines("computed recommendation", computed, health),
        *_lines("/healthz", health, None),
    ]


def _target(user: str) -> str:
    return f"/v1/users/{user}/recommendations?limit=20"


def _ask(connection: Connection, targets: Iterable[str]) -> list[float]:
    taken = []
    for target in targets:
        status, body, milliseconds = connection.get(target)
        taken.append(milliseconds)
        if status != 200:
            raise AssertionError(f"{target}: {status} {body[:300]!r}")
        if target != "/healthz":
            answer = json.loads(body)
            if len(answer["items"]) != 20 or answer["degraded"]:
                raise AssertionError(f"{target}: {len(answer['items'])} items, degraded {answer['degraded']}")
    return taken


def _cache_outcomes(connection: Connection) -> dict[str, int]:
    _, body, _ = connection.get("/metrics")
    found = re.findall(r'^recsvc_cache_total\{outcome="(\w+)"\} (\S+)$', body.decode("utf-8"), re.MULTILINE)
    return {name: int(float(count)) for name, count in found}


def _lines(name: str, milliseconds: list[float], health: list[float] | None) -> list[Measurement]:
    p50, p99 = (float(value) for value in np.percentile(milliseconds, [50, 99]))
    details = {"requests": len(milliseconds)}
    lines = [
        Measurement(f"{name}: p50", "ms", p50, details=details),
        Measurement(f"{name}: p99", "ms", p99, details=details),
    ]
    if health is not None:
        ratio = p50 / float(np.median(health))
        lines.append(Measurement(f"{name}: p50 / healthz", "×", ratio))
    return lines
