"""How much memory is left to this process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, within the limit of the container; None where nobody says."""
    found = [value for value in (_machine(), _container()) if value is not None]
    return min(found, default=None)


def _machine() -> int | None:
    try:
        lines = _MEMINFO.read_text("ascii").splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kibibytes[0] * 1024 if kibibytes else None


def _container() -> int | None:
    try:
        limit, used = _LIMIT.read_text("ascii").strip(), _USED.read_text("ascii").strip()
    except OSError:
        return None
    return None if limit == "max" else max(int(limit) - int(used), 0)
