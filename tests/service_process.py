"""The service as its user starts it: `python -m recsvc` in a process of its own, on a free port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

_PATIENCE_SECONDS = 60.0


class Service:
    """A running service; leaving the block stops it and waits for it. `ready_seconds`: start to the first ready."""

    def __init__(self, models_dir: Path, state_dir: Path, environ: dict[str, str] | None = None) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSVC_")}
        self._environ |= {
            "RECSVC_PORT": str(self.port),
            "RECSVC_MODELS_DIR": str(models_dir),
            "RECSVC_STATE_DIR": str(state_dir),
            "RECSVC_LOG_LEVEL": "warning",
        } | (environ or {})
        self._log = state_dir.parent / f"service-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_seconds = 0.0

    @property
    def log(self) -> str:
        """What the service has printed so far."""
        return self._log.read_text("utf-8")

    @property
    def pid(self) -> int:
        """The process that was started: the service, or the supervisor of its workers."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        started = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recsvc"],
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while not self._ready():
                if self._process.poll() is not None or time.perf_counter() > started + _PATIENCE_SECONDS:
                    raise RuntimeError(f"the service did not get ready; it said:\n{self.log}")
                time.sleep(0.01)
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """Ctrl-C, and the exit status it leads to."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
