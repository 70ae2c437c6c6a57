"""The worker processes of a service: started with it, started again when they die, gone when it is."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Final, Self

from recsvc.store.child_process import bind_to_parent

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.1
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 30.0
_STABLE_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0


class _Slot:
    """One worker to be kept running. The pause before it is started again doubles while it keeps dying."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._pause = _FIRST_PAUSE_SECONDS
        self._start_at = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            if now - self._began > _STABLE_SECONDS:
                self._pause = _FIRST_PAUSE_SECONDS
            logger.warning(
                "an event worker ended with status %d; starting it again in %.1f s",
                self.process.returncode,
                self._pause,
            )
            self.process = None
            self._start_at = now + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        if self.process is None and now >= self._start_at:
            self._began = now
            self.process = _spawn()


class EventWorkers:
    """Keeps `count` processes `python -m recsvc.worker` running, with the environment of this one.

    The kernel ends them with the thread that starts them, hence with this process (Linux).
    """

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="worker-watcher", daemon=True)

    def __enter__(self) -> Self:
        """Starts them; does not wait for them."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends them: they write what is there first."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for slot in self._slots:
                try:
                    slot.look()
                except OSError as exc:
                    logger.error("an event worker cannot be started: %s", exc)  # noqa: TRY400
                    self._stopping.wait(_LONGEST_PAUSE_SECONDS)
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.terminate()
        give_up_at = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, give_up_at - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("an event worker did not end in time; what it had not written stays in Redis")
                process.kill()
                process.wait()


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "recsvc.worker"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is for the service, which ends them after its last request
        preexec_fn=bind_to_parent(os.getpid()),  # noqa: PLW1509
    )
