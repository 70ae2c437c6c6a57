"""One owner per directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from recsvc.store.errors import DirectoryInUse


class DirectoryLock:
    """An exclusive lock on a file. The kernel lets it go when the last process that has the file open is gone.

    A child process that is given `fileno` keeps the lock beyond its parent's death, until it is gone as well.
    """

    def __init__(self, file: Path, *, patience_seconds: float = 0.0) -> None:
        """Takes the lock, waiting at most `patience_seconds`. Raises `DirectoryInUse`, or OSError."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(file, time.monotonic() + patience_seconds)
        except BaseException:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    @property
    def fileno(self) -> int:
        """The descriptor of the open lock file."""
        return self._descriptor

    def release(self) -> None:
        """Closes the file; the lock stays with a child that inherited it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, file: Path, give_up_at: float) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= give_up_at:
                    owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                    raise DirectoryInUse(
                        f"{file.parent} is in use by another recsvc (process {owner}); "
                        "stop that one, or set RECSVC_STATE_DIR to another directory"
                    ) from None
                time.sleep(0.05)
            else:
                return
