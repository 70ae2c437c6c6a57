"""Ctrl-C that is not lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noticed_interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came, which raise KeyboardInterrupt as ever.

    Raised within a finaliser or a callback of a library an exception is printed at most and forgotten; who asks here
    between two steps still hears of it. In the main thread alone.
    """
    noticed = Event()

    def notice(number: int, frame: FrameType | None) -> None:
        noticed.set()
        signal.default_int_handler(number, frame)

    before = {number: signal.signal(number, notice) for number in _SIGNALS}
    try:
        yield noticed.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
