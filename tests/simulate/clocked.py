"""`python -m tests.simulate.clocked`: the service, going by the clock of the simulation that started it."""

from __future__ import annotations

import mmap
import os
import struct
import sys
from pathlib import Path
from typing import Final

from recsvc import asgi
from recsvc.__main__ import serve
from recsvc.api.front import Front
from recsvc.settings import load_settings

CLOCK_VARIABLE: Final = "SIMULATED_CLOCK"
"""Names the clock's file. No setting of the service: nothing but this module reads it."""

_TIME: Final = struct.Struct("<d")


class SharedClock:
    """Unix seconds in a file that two processes map: one sets them, the other reads."""

    def __init__(self, path: Path) -> None:
        """Makes the file where there is none."""
        with path.open("a+b") as file:
            if file.tell() == 0:
                file.write(_TIME.pack(0.0))
                file.flush()
            self._memory = mmap.mmap(file.fileno(), _TIME.size)

    def __call__(self) -> float:
        return float(_TIME.unpack_from(self._memory)[0])

    def set(self, seconds: float) -> None:
        # Aligned, and written in one move: nobody reads half of it.
        _TIME.pack_into(self._memory, 0, seconds)


def application() -> Front:
    """What the process that answers makes its app with."""
    return asgi.application(SharedClock(Path(os.environ[CLOCK_VARIABLE])))


if __name__ == "__main__":
    sys.exit(serve(load_settings(), "tests.simulate.clocked:application"))
