"""`python -m recsvc` as its users start it, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil


class ServiceProcess:
    """A started service: what it printed, where it answers, and every process it has."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.printed = self._read_welcome()
        found = re.search(r"answers on (http://\S+)", self.printed)
        assert found is not None
        self.url = found[1]
        owner = psutil.Process(process.pid)
        self.processes = [owner, *owner.children(recursive=True)]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def pid_of(self, name: str) -> int:
        return next(process.pid for process in self.processes if name in process.name())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt_all(self) -> None:
        """What a terminal does on Ctrl-C: every process of the foreground group gets SIGINT."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        return self._process.wait(30)

    def left(self) -> list[str]:
        """The processes still there some seconds later; those that have ended and wait for init do not count."""
        _gone, alive = psutil.wait_procs(self.processes, timeout=15)
        return [str(process) for process in alive if process.status() != psutil.STATUS_ZOMBIE]

    def _read_welcome(self) -> str:
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if "sessions/recommendations" in line:
                return "".join(lines)
        raise AssertionError(f"the service ended with {self._process.wait()}: {self.log}")


def environment(models_dir: Path, state_dir: Path, **settings: object) -> dict[str, str]:
    """That of the process without its RECSVC_ variables, and these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RECSVC_")}
    chosen = {"models_dir": models_dir, "state_dir": state_dir, "port": 0, **settings}
    return clean | {f"RECSVC_{name.upper()}": str(value) for name, value in chosen.items()}


@contextmanager
def started(
    models_dir: Path,
    directory: Path,
    module: str = "recsvc",
    variables: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[ServiceProcess]:
    """Starts the service with its state in `directory` and waits until it answers; afterwards none of it is left.

    `variables` of the environment beside the settings.
    """
    log = directory / "log"
    with log.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=environment(models_dir, directory / "state", **settings) | dict(variables or {}),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,
        )
    try:
        yield ServiceProcess(process, log)
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def refused(models_dir: Path, state_dir: Path, **settings: object) -> tuple[int, str]:
    """The exit status and what was printed by a service that does not start."""
    said = subprocess.run(
        [sys.executable, "-m", "recsvc"],
        env=environment(models_dir, state_dir, **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return said.returncode, said.stdout + said.stderr


def eventually(condition: object, seconds: float = 20) -> bool:
    """Whether the condition, a callable, comes true within `seconds`."""
    assert callable(condition)
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if condition():
            return True
        time.sleep(0.05)
    return False
