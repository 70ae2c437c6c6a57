"""A private redis-server: started, watched, restarted, and gone when its owner is."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from recsvc.store.child_process import bind_to_parent
from recsvc.store.directory_lock import DirectoryLock
from recsvc.store.errors import EmbeddedRedisFailed
from recsvc.store.server_binary import find_redis_server, version_of

logger = logging.getLogger(__name__)

SOCKET_PATH_BYTES: Final = 107
"""Longest path of a Unix socket: `sun_path` has 108 bytes on Linux, the last a zero (unix(7))."""

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 10.0
_DYING_OWNER_SECONDS: Final = 3.0
_STABLE_SECONDS: Final = 60.0
_LOG_BYTES: Final = 4 * 1024 * 1024


class EmbeddedRedis:
    """The server of one state directory: append-only file, log and lock under `state_dir/redis`, every write synced.

    A thread starts it, waits for its end and starts it again, after a pause that grows while it keeps dying; the
    address stays the same. The kernel ends the server with that thread, hence with this process (Linux).
    """

    def __init__(self, state_dir: Path) -> None:
        """Prepares; `start` starts. Raises `EmbeddedRedisFailed` when there is no redis-server to start."""
        self._binary = find_redis_server()
        self._directory = state_dir.resolve() / "redis"
        self._log = self._directory / "redis.log"
        self._lock: DirectoryLock | None = None
        self._private_directory: Path | None = None
        self._socket = self._directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._first_outcome: threading.Event = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="redis-watcher", daemon=True)

    @property
    def url(self) -> str:
        """The address, the same over restarts; for `connect` and RECSVC_REDIS_URL."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it is not running."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> Self:
        """Starts the server; returns when it answers, its data loaded.

        Raises `DirectoryInUse` when another service has the state directory, and `EmbeddedRedisFailed` with the end of
        the log.
        """
        # An owner that was killed a moment ago may have left a server that is on its way out with the lock.
        self._lock = DirectoryLock(self._directory / "lock", patience_seconds=_DYING_OWNER_SECONDS)
        try:
            self._directory.chmod(0o700)
            self._refuse_older_server()
            self._choose_socket()
            self._thread.start()
            self._wait_for_first_start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends the server and waits for its end; may be called again."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._private_directory is not None:
            shutil.rmtree(self._private_directory, ignore_errors=True)
            self._private_directory = None
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        """Starts."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops."""
        self.stop()

    def _refuse_older_server(self) -> None:
        # Redis 7 moved the append-only file into a directory. An older one would not look there, start empty, and
        # so forget what was acknowledged.
        version = version_of(self._binary)
        if (self._directory / "appendonlydir").exists() and (version is None or version < (7, 0)):
            raise EmbeddedRedisFailed(
                f"the data in {self._directory} was written by Redis 7 or later, which {self._binary} is not; "
                "put a redis-server of version 7 on the PATH, or set RECSVC_STATE_DIR to another directory"
            )

    def _choose_socket(self) -> None:
        if len(os.fsencode(self._socket)) > SOCKET_PATH_BYTES:
            self._private_directory = _private_directory()
            self._socket = self._private_directory / "redis.sock"

    def _wait_for_first_start(self) -> None:
        self._first_outcome.wait()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        """The thread: it forks the server, and lives as long as the server may."""
        pause = 0.1
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._process = self._spawn()
                self._wait_until_it_answers(self._process)
            except (OSError, EmbeddedRedisFailed) as exc:
                self._kill()
                if not self._first_outcome.is_set():
                    self._failure = exc
                    self._first_outcome.set()
                    return
                logger.error("the private Redis cannot be restarted: %s", exc)  # noqa: TRY400
            else:
                self._first_outcome.set()
                self._wait_until_it_ends(self._process)
            if self._stopping.is_set():
                break
            pause = 0.1 if time.monotonic() - began > _STABLE_SECONDS else min(pause * 2, 10.0)
            logger.warning("the private Redis ended; starting it again in %.1f s", pause)
            self._stopping.wait(pause)
        self._terminate()

    def _spawn(self) -> subprocess.Popen[bytes]:
        assert self._lock is not None  # noqa: S101
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._binary, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                pass_fds=[self._lock.fileno],  # it holds the directory's lock until it is gone itself
                start_new_session=True,  # a Ctrl-C is for the service, which stops it after its last request
                preexec_fn=bind_to_parent(os.getpid()),  # noqa: PLW1509
            )

    def _arguments(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "databases": "1",
            "daemonize": "no",
            "protected-mode": "yes",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + _START_SECONDS
        while not _answers(self._socket):
            if process.poll() is not None:
                raise EmbeddedRedisFailed(
                    f"redis-server ended with status {process.returncode}; {self._log} ends:\n{self._log_tail()}"
                )
            if self._stopping.wait(0.01):
                raise EmbeddedRedisFailed("the service is stopping")
            if time.monotonic() > give_up_at:
                raise EmbeddedRedisFailed(
                    f"redis-server did not answer within {_START_SECONDS:.0f} s; {self._log} ends:\n{self._log_tail()}"
                )

    def _wait_until_it_ends(self, process: subprocess.Popen[bytes]) -> None:
        # Polled slowly: the wait has to end for `stop` as well, and a restart need not be instant.
        while process.poll() is None and not self._stopping.wait(0.05):
            pass

    def _terminate(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _log_tail(self) -> str:
        try:
            text = self._log.read_text("utf-8", "replace")
        except OSError as exc:
            return f"(unreadable: {exc.strerror})"
        return "\n".join(text.splitlines()[-8:])


def _answers(path: Path) -> bool:
    """Whether a server answers PING there; one that still loads its data says so instead."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _private_directory() -> Path:
    """A new directory of mode 0700 whose path leaves room for a socket's name."""
    for parent in (None, "/tmp"):  # noqa: S108 (TMPDIR itself may be too deep)
        directory = Path(tempfile.mkdtemp(prefix="recsvc-", dir=parent))
        if len(os.fsencode(directory / "redis.sock")) <= SOCKET_PATH_BYTES:
            return directory
        directory.rmdir()
    raise EmbeddedRedisFailed("no directory has a path short enough for a Unix socket; set RECSVC_STATE_DIR to one")
