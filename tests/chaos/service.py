"""A service that is killed, and started again on the same port and the same state."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import redis

from recsvc.eventlog.position import PARTITIONS
from recsvc.store.child_process import bind_to_parent
from recsvc.store.keys import dead_key, log_key
from tests.e2e.service_process import environment

_PATIENCE_SECONDS = 90.0


class Service:
    """`python -m recsvc` with its private Redis and one worker, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "state"
        self.port = _free_port()
        self.log = directory / "service.log"
        # Short, so that there are many files, compactions and moments between them.
        settings = {"port": self.port, "log_flush_seconds": 0.5, "log_level": "info", "event_workers": 1}
        self._environ = environment(directory / "models", self.state_dir, **settings)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it; what the one before left may still be about to end, so a refusal is tried again."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "recsvc"],
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=bind_to_parent(os.getpid()),  # noqa: PLW1509
                )
            while time.monotonic() < give_up_at and self._process.poll() is None:
                try:
                    with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                        return
                except OSError:
                    time.sleep(0.02)
            if time.monotonic() >= give_up_at:
                raise AssertionError(f"the service does not start; {self.log} ends:\n{self.tail()}")

    def stop(self) -> int:
        if self._process is None:
            return 0
        self._process.terminate()
        return self._process.wait(60)

    def kill(self, part: str) -> None:
        """SIGKILL to the service's main process, its worker or its Redis."""
        assert self._process is not None
        if part == "service":
            self._process.kill()
            self._process.wait()
            return
        victim = self.find(part)
        if victim is not None:
            victim.kill()

    def find(self, part: str) -> psutil.Process | None:
        """The running worker or Redis."""
        assert self._process is not None
        mark = "recsvc.worker" if part == "worker" else "redis-server"
        for child in psutil.Process(self._process.pid).children():
            try:
                if mark in " ".join(child.cmdline()):
                    return child
            except psutil.Error:
                continue
        return None

    def waiting(self) -> tuple[int, int]:
        """Events in the streams, and dead letters. Raises `redis.RedisError`."""
        with redis.Redis(unix_socket_path=str(self.state_dir / "redis" / "redis.sock")) as client:
            pipeline = client.pipeline(transaction=False)
            for key in (log_key, dead_key):
                for partition in range(PARTITIONS):
                    pipeline.xlen(key(partition))
            lengths = pipeline.execute()
        return sum(lengths[:PARTITIONS]), sum(lengths[PARTITIONS:])

    def wrote_since(self, moment: float) -> bool:
        """Whether the log got a file since then (Unix seconds)."""
        directories = (self.state_dir / "events").glob("p???")
        return any(_changed_at(directory) > moment for directory in directories)

    def tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])


def _changed_at(path: Path) -> float:
    return path.stat().st_mtime


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
