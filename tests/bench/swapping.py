"""A hundred models promoted one after the other while requests come in, against the same load without."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from recsvc.bundle.registry import Registry
from recsvc.bundle.types import IdTable
from recsvc.bundle.writer import new_version, write_bundle
from tests.bench.load.driver import Run, drive, pin_service, zipf_targets
from tests.bench.measurement import Context, Measurement
from tests.bench.service import Service
from tests.builders import make_contents, make_manifest

_SWAPS: Final = 100
_SECONDS_EACH: Final = 1.0
_STEADY_SECONDS: Final = 20.0
_RATE: Final = 300.0
_CONNECTIONS: Final = 32
_KNOWN: Final = 2_000
_USERS: Final = 40_000
_ITEMS: Final = 5_000
_FACTORS: Final = 64


def measure(context: Context) -> list[Measurement]:
    """300 requests a second at random moments, one in ten of them for a user who has no list yet: 20 s without a
    promotion, then 100 promotions, one a second, each of a version that was never open before, then 20 s without."""
    models, state = context.scratch / "models", context.scratch / "state"
    versions, users = _publish(models, _SWAPS + 1)
    registry = Registry(models)
    registry.promote(versions[0])
    known, fresh = users[:_KNOWN], iter(users[_KNOWN:])

    def targets(seconds: float) -> list[str]:
        found = zipf_targets(known, int(_RATE * seconds) + 10)
        for place in range(0, len(found), 10):
            found[place] = f"/v1/users/{next(fresh)}/recommendations?limit=20"
        return found

    def run(seconds: float) -> Run:
        return drive(
            service.port, targets(seconds), connections=_CONNECTIONS, seconds=seconds, servers=servers, rate=_RATE
        )

    with Service(models, state, champion_poll_seconds=0.1) as service:
        servers = pin_service(service.pid)
        run(10.0)
        before = run(_STEADY_SECONDS)
        promoting = threading.Thread(target=_promote_all, args=(registry, versions[1:]))
        promoting.start()
        during = run(_SWAPS * _SECONDS_EACH)
        promoting.join()
        after = run(_STEADY_SECONDS)
    failed = sum(count for status, count in during.statuses.items() if status != "200") + during.raw["lost_connections"]
    steady = (before.p99 + after.p99) / 2
    return [
        Measurement(f"{_SWAPS} swaps: requests that failed", "", failed, 0, details=during.statuses),
        Measurement("without swaps: p99", "ms", steady, details={"before": before.p99, "after": after.p99}),
        Measurement("during swaps: p99", "ms", during.p99, details=during.raw["percentiles"]),
        Measurement("during swaps: p99 / without", "×", during.p99 / steady, 3.0),
    ]


def _promote_all(registry: Registry, versions: list[str]) -> None:
    for version in versions:
        registry.promote(version)
        time.sleep(_SECONDS_EACH)


def _publish(models: Path, count: int) -> tuple[list[str], list[str]]:
    """So many versions over the same users and items."""
    contents = make_contents(_USERS, _ITEMS, _FACTORS)
    user_ids = [f"u{number:06}" for number in range(_USERS)]
    item_ids = [f"v{number:06}" for number in range(_ITEMS)]
    contents = replace(contents, users=IdTable.of(user_ids), items=IdTable.of(item_ids))
    versions = []
    for _ in range(count):
        version = new_version()
        write_bundle(models, contents, lambda files, name=version: make_manifest(contents, files, version=name))  # type: ignore[misc]
        versions.append(version)
    return versions, user_ids
