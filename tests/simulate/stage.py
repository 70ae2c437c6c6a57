"""What a simulation stands on: models trained on the community's past, and services under its clock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import redis

from recsvc.bundle.registry import Registry
from recsvc.eventlog.position import PARTITIONS
from recsvc.store.keys import log_key
from tests.e2e.service_process import environment, started
from tests.shows.stage import train
from tests.simulate.clocked import CLOCK_VARIABLE, SharedClock
from tests.simulate.over_http import HttpServer
from training.simulate.community import Community

ARMS: Final[dict[str, str]] = {
    "popularity": '[model]\nkind = "popularity"\n',
    "als": '[model]\nkind = "als"\n\n[als]\nfactors = 64\nregularization = 100.0\n',
    "coarse": '[model]\nkind = "als"\n\n[als]\nfactors = 4\nregularization = 100.0\n',
    "blend": '[model]\nkind = "blend"\n\n[als]\nfactors = 64\nregularization = 100.0\n',
}
"""Settings of training by the name of an arm; those of ALS are the sample's, those of `coarse` but for
its few factors."""

_PATIENCE_SECONDS: Final = 120.0
_SPREADING_SECONDS: Final = 1.0
"""The longest that another process takes to hear of a start (RECSVC_LIVE_POLL_SECONDS)."""
_SETTINGS: Final[dict[str, object]] = {
    # Shared cores with a load on them: a pause is no lost Redis.
    "redis_timeout_milliseconds": 2_000,
    "event_timeout_milliseconds": 20_000,
    # Redis' clock is the machine's: what it keeps for minutes would be there for days of the simulation.
    "cache_ttl_seconds": 1,
    "log_flush_seconds": 3,
    "workers": 2,
    "log_level": "warning",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """`models` the version of each arm, all in `directory`/models; the first arm's is the champion."""

    directory: Path
    community: Community
    models: dict[str, str]

    @contextmanager
    def world(self, name: str, variant: str | None = None) -> Iterator[World]:
        """A service with a Redis and a log of its own, at the simulation's beginning."""
        home = self.directory / name
        home.mkdir()
        clock = SharedClock(home / "clock")
        clock.set(self.community.people.begins.timestamp())
        variables = {CLOCK_VARIABLE: str(home / "clock")}
        models = self.directory / "models"
        with started(models, home, "tests.simulate.clocked", variables, **_SETTINGS) as process:
            server = HttpServer(process.url, clock, self.community, variant)
            try:
                yield World(home / "state", server)
            finally:
                server.close()


@dataclass(frozen=True, slots=True)
class World:
    """A running service, and where it keeps what it keeps."""

    state_dir: Path
    server: HttpServer

    def start(self, key: str, definition: dict[str, Any]) -> None:
        """Defines an experiment and starts it; on return every process assigns."""
        self.server.call("PUT", f"/v1/experiments/{key}", definition)
        self.server.call("POST", f"/v1/experiments/{key}:start")
        time.sleep(_SPREADING_SECONDS)

    def report(self, key: str) -> dict[str, Any]:
        """The report of an experiment, once every event is in the log."""
        self._written()
        said = subprocess.run(
            [sys.executable, "-m", "recsvc.analysis", "report", key],
            env=environment(Path("models"), self.state_dir),
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode:
            raise RuntimeError(f"no report of {key}: {said.stderr}")
        found: dict[str, Any] = json.loads((self.state_dir / "analysis" / "reports" / f"{key}.1.json").read_text())
        return found

    def _written(self) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        with redis.Redis(unix_socket_path=str(self.state_dir.resolve() / "redis" / "redis.sock")) as client:
            while time.monotonic() < give_up_at:
                pipeline = client.pipeline(transaction=False)
                for partition in range(PARTITIONS):
                    pipeline.xlen(log_key(partition))
                if not sum(pipeline.execute()):
                    return
                time.sleep(0.2)
        raise RuntimeError(f"events still wait for the log after {_PATIENCE_SECONDS:.0f} s")


def make_stage(directory: Path, community: Community, arms: Sequence[str]) -> Stage:
    """Trains a model for each arm on the community's past, and promotes the first."""
    events, items = directory / "past.parquet", directory / "items.parquet"
    pq.write_table(community.past, events)
    pq.write_table(community.catalogue, items)
    models_dir, state_dir = directory / "models", directory / "training"
    registry = Registry(models_dir)
    models: dict[str, str] = {}
    for arm in arms:
        config = directory / f"{arm}.toml"
        config.write_text(ARMS[arm])
        given = ("--data", str(events), "--catalogue", str(items), "--config", str(config))
        train(models_dir, state_dir, "train", *given)
        models[arm] = next(version for version in registry.versions() if version not in models.values())
    registry.promote(models[arms[0]])
    return Stage(directory, community, models)
