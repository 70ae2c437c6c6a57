"""The service as its user starts it: `python -m recsvc` in a process of its own, on a free port, with its own Redis."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from recsvc.bundle.registry import Registry
from recsvc.bundle.types import IdTable
from recsvc.bundle.writer import new_version, write_bundle
from tests.builders import make_contents, make_manifest

_PATIENCE_SECONDS = 60.0


def publish_champion(models_dir: Path, n_users: int, n_items: int, n_factors: int) -> list[str]:
    """Publishes and promotes a built bundle of this size; returns its user ids."""
    contents = make_contents(n_users, n_items, n_factors)
    user_ids = [f"u{number:06}" for number in range(n_users)]
    contents = replace(
        contents, users=IdTable.of(user_ids), items=IdTable.of(f"v{number:06}" for number in range(n_items))
    )
    version = new_version()
    write_bundle(models_dir, contents, lambda files: make_manifest(contents, files, version=version))
    Registry(models_dir).promote(version)
    return user_ids


class Service:
    """A running service; leaving the block stops it and waits for it.

    `ready_seconds` is the time from starting the process to the first 200 of /readyz.
    """

    def __init__(self, models_dir: Path, state_dir: Path, **settings: object) -> None:
        """`settings` by the names of `recsvc.settings.Settings`, beside the directories."""
        self.port = _free_port()
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSVC_")}
        self._environ |= {
            "RECSVC_PORT": str(self.port),
            "RECSVC_MODELS_DIR": str(models_dir),
            "RECSVC_STATE_DIR": str(state_dir),
            "RECSVC_LOG_LEVEL": "warning",
            **{f"RECSVC_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._log_path = state_dir.parent / "service.log"
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_seconds = 0.0

    @property
    def pid(self) -> int:
        """Of the process that answers, or of the one that supervises those."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self._log = self._log_path.open("wb")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "recsvc"],
            env=self._environ,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait(self._process, until=started + _PATIENCE_SECONDS)
        except BaseException:
            self._stop()
            raise
        self.ready_seconds = time.perf_counter() - started
        return self

    def _wait(self, process: subprocess.Popen[bytes], until: float) -> None:
        while not self._ready():
            if process.poll() is not None or time.perf_counter() > until:
                said = self._log_path.read_text("utf-8")
                raise RuntimeError(f"the service did not get ready; it said:\n{said}")
            time.sleep(0.005)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._log is not None:
            self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
