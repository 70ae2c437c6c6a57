"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Final

import psutil

_LIBRARIES: Final = ("duckdb", "faiss-cpu", "fastapi", "implicit", "numpy", "pyarrow", "redis", "scipy", "uvicorn")


def describe_machine() -> dict[str, Any]:
    """CPU model, cores this process may use, memory in bytes, Python and library versions."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in _LIBRARIES},
    }


class Neighbours:
    """What other processes took of this machine's processors since this was made.

    On a busy machine wall times and their ratios say little: threads that wait for each other wait for a stranger.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._busy = _busy_seconds()
        self._own = _own_seconds()

    def share(self) -> float:
        """0 to 1. Our own children count as ours once they have ended."""
        available = (time.perf_counter() - self._started) * (psutil.cpu_count() or 1)
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return min(1.0, max(0.0, others / available))


def _busy_seconds() -> float:
    spent = psutil.cpu_times()
    waiting = spent.idle + getattr(spent, "iowait", 0.0)
    # Linux counts a guest's time in user time too.
    return float(sum(spent) - waiting - getattr(spent, "guest", 0.0) - getattr(spent, "guest_nice", 0.0))


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def describe_commit(root: Path) -> dict[str, Any]:
    """The commit of the working tree at `root` and whether it was changed since; None outside a repository."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        return {"commit": head, "changed": bool(_git(root, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the platform module knows less, but something
    return platform.processor() or platform.machine()
