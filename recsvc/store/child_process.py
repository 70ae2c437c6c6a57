"""Processes that do not outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Has the kernel send this process `number` when its parent goes, however it goes (Linux; elsewhere nothing).

    The kernel watches the *thread* that started this process (prctl(2), PR_SET_PDEATHSIG). A parent that is gone
    already ends the process here.
    """
    bind_to_parent(parent_pid, number)()


def bind_to_parent(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """`die_with_parent` as a `preexec_fn`: what can be prepared before the fork is."""
    if not sys.platform.startswith("linux"):
        return _nothing
    prctl = ctypes.CDLL(None).prctl
    signal_number = int(number)

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return bind


def _nothing() -> None:
    return None
