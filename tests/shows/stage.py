"""What the shows stand on: a model trained on the sample, a Redis that syncs every write, services of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.service_process import environment, started
from tests.redis_process import RedisProcess


class Stage:
    """`directory`/models has a champion trained on the sample; services share `redis` and that model."""

    def __init__(self, directory: Path, redis: RedisProcess) -> None:
        self.directory = directory
        self.models_dir = directory / "models"
        self.state_dir = directory / "a" / "state"
        """Of the first service, whose worker writes the event log."""
        self.redis = redis

    def train(self, command: str, *options: str) -> str:
        """Runs a training command as `make` does; returns what it printed."""
        return train(self.models_dir, self.state_dir, command, *options)

    @contextmanager
    def services(self, count: int, **settings: object) -> Iterator[list[httpx.Client]]:
        """Clients of `count` service processes; the first one has the worker."""
        with ExitStack() as opened:
            clients = []
            for name in ("a", "b", "c")[:count]:
                home = self.directory / name
                home.mkdir(exist_ok=True)
                workers = 1 if name == "a" else 0
                chosen: dict[str, object] = {
                    "redis_url": self.redis.url,
                    "event_workers": workers,
                    # Two shared cores with a load on both: a pause is no lost Redis.
                    "redis_timeout_milliseconds": 1000,
                }
                service = opened.enter_context(started(self.models_dir, home, **(chosen | settings)))
                clients.append(opened.enter_context(service.client()))
            yield clients


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Trains the model and starts Redis."""
    place = directory / "redis"
    place.mkdir()
    redis = RedisProcess(place, "--appendonly", "yes", "--appendfsync", "always")
    redis.start()
    try:
        made = Stage(directory, redis)
        made.state_dir.mkdir(parents=True)
        print("training a model on the sample …", flush=True)
        made.train("retrain", "--dataset", "sample")
        yield made
    finally:
        redis.kill()


def train(models_dir: Path, state_dir: Path, command: str, *options: str) -> str:
    """Runs a training command as `make` does; returns what it printed."""
    data_dir = Path(os.environ.get("RECSVC_DATA_DIR") or "data").absolute()
    said = subprocess.run(
        [sys.executable, "-m", "training", command, *options],
        env=environment(models_dir, state_dir, data_dir=data_dir),
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise RuntimeError(f"training {command} ended with {said.returncode}:\n{said.stdout}{said.stderr}")
    return said.stdout


def event(user: str, item: str, kind: str = "like") -> dict[str, Any]:
    """A valid event of this moment."""
    return {
        "event_id": uuid4().hex,
        "type": kind,
        "user_id": user,
        "item_id": item,
        "timestamp": datetime.now(UTC).isoformat(),
    }


def send(client: httpx.Client, *events: dict[str, Any]) -> None:
    """Sends the events; every one has to be accepted."""
    answer = client.post("/v1/events", json={"events": list(events)})
    statuses = [result["status"] for result in answer.json()["results"]] if answer.status_code == 202 else answer.text
    if statuses != ["accepted"] * len(events):
        raise RuntimeError(f"not accepted: {answer.status_code} {statuses}")


def recommended(client: httpx.Client, user: str, **parameters: Any) -> Any:
    """The body of the user's recommendations."""
    answer = client.get(f"/v1/users/{user}/recommendations", params=parameters)
    answer.raise_for_status()
    return answer.json()


def in_ci() -> bool:
    """Whether this runs where nobody looks."""
    return bool(os.environ.get("CI"))
