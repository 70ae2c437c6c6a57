"""Ctrl-C that comes while an exception would be lost."""

from __future__ import annotations

import gc
import signal

import pytest

from training.tuning.interrupts import noticed_interrupts


class Finaliser:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_lost_in_a_finaliser_is_noticed() -> None:
    with noticed_interrupts() as interrupted:
        assert not interrupted()
        Finaliser()
        gc.collect()
        assert interrupted()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_raised_and_the_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), noticed_interrupts():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before
