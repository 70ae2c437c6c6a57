"""`python -m recsvc.worker` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsvc.store.child_process import bind_to_parent
from tests.e2e.service_process import environment


class WorkerProcess:
    """A started worker; `signal` and `wait` as for any process, `log` is what it said."""

    def __init__(self, directory: Path, redis_url: str | None, **settings: object) -> None:
        self._log = directory / f"worker-{len(list(directory.glob('worker-*')))}.log"
        chosen: dict[str, object] = {"log_flush_seconds": 0.2, "log_level": "debug", **settings}
        if redis_url is not None:
            chosen["redis_url"] = redis_url
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recsvc.worker"],
                env=environment(directory / "models", directory / "state", **chosen),
                stdout=log,
                stderr=log,
                preexec_fn=bind_to_parent(os.getpid(), signal.SIGKILL),  # noqa: PLW1509
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(30)


@contextmanager
def working(directory: Path, redis_url: str | None, **settings: object) -> Iterator[WorkerProcess]:
    """A worker with its log in `directory`/state; afterwards it is gone."""
    worker = WorkerProcess(directory, redis_url, **settings)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
