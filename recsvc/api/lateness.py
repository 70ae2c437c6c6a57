"""Whether more has come in than the event loop gets done."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_BEAT_SECONDS: Final = 0.02
_WEIGHT: Final = 0.15
"""Of the latest beat: a single late one, such as a garbage collection makes, is no overload."""
_LATE_SECONDS: Final = 0.01
"""Behind by so much on average: at half of the peak it is a fifth of that."""
_BUSY: Final = 0.3
"""Of the time on a processor. An event loop that is late and not busy waits for others, and shedding would not help."""


class Lateness:
    """Measures by a beat that is due every 20 ms, while there is a reason to."""

    def __init__(self) -> None:
        self._late = 0.0
        self._busy = 0.0
        self._beating = False
        self._wanted = False

    @property
    def is_much(self) -> bool:
        """Whether what is added now comes on top of what is not done in time already."""
        return self._late > _LATE_SECONDS and self._busy > _BUSY

    def watch(self) -> None:
        """Keeps the beat going, for a while at least. Called in the event loop."""
        self._wanted = True
        if not self._beating:
            self._beating = True
            self._next(asyncio.get_running_loop())

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(_BEAT_SECONDS, self._beat, loop, loop.time(), time.thread_time())

    def _beat(self, loop: asyncio.AbstractEventLoop, began: float, began_busy: float) -> None:
        taken = loop.time() - began
        self._late += _WEIGHT * (max(taken - _BEAT_SECONDS, 0.0) - self._late)
        self._busy += _WEIGHT * ((time.thread_time() - began_busy) / max(taken, _BEAT_SECONDS) - self._busy)
        self._beating = self._wanted or self.is_much
        self._wanted = False
        if self._beating:
            self._next(loop)
