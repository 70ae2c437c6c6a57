"""A circuit breaker: after repeated failures nobody waits for what is down; one caller at a time tries again."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class BreakerState(enum.Enum):
    """Closed: calls pass. Open: calls are refused. Half open: one call, the probe, is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call. The outcome of a call that was begun before the state last changed does not count."""

    generation: int


class Breaker:
    """Pure state, no I/O and no locks: for use from one event loop.

    Every permit is given back once: `succeeded`, `failed`, or `abandoned` when the outcome is unknown.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures_to_open: int = 5,
        first_delay_seconds: float = 0.25,
        longest_delay_seconds: float = 5.0,
    ) -> None:
        """`clock` gives monotonic seconds. The delay before a probe doubles with each probe that fails."""
        self._clock = clock
        self._failures_to_open = failures_to_open
        self._first_delay = first_delay_seconds
        self._longest_delay = longest_delay_seconds
        self._state = BreakerState.CLOSED
        self._generation = 0
        self._failures = 0
        self._delay = first_delay_seconds
        self._probe_at = 0.0

    @property
    def state(self) -> BreakerState:
        """The state now."""
        return self._state

    def permit(self) -> Permit | None:
        """Leave to call, or None: refused. The first caller after the delay gets the probe."""
        if self._state is BreakerState.OPEN and self._clock() >= self._probe_at:
            self._move_to(BreakerState.HALF_OPEN)
            return Permit(self._generation)
        return Permit(self._generation) if self._state is BreakerState.CLOSED else None

    def succeeded(self, permit: Permit) -> None:
        """The call was answered."""
        if permit.generation != self._generation:
            return
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._delay = self._first_delay
            self._move_to(BreakerState.CLOSED)

    def failed(self, permit: Permit) -> None:
        """The call was not answered, or not in time."""
        if permit.generation != self._generation:
            return
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN:
            self._delay = min(self._delay * 2, self._longest_delay)
            self._open()
        elif self._failures >= self._failures_to_open:
            self._open()

    def abandoned(self, permit: Permit) -> None:
        """The caller went away before the outcome was known: the next caller may probe at once."""
        if permit.generation == self._generation and self._state is BreakerState.HALF_OPEN:
            self._probe_at = self._clock()
            self._move_to(BreakerState.OPEN)

    def _open(self) -> None:
        self._failures = 0
        self._probe_at = self._clock() + self._delay
        self._move_to(BreakerState.OPEN)

    def _move_to(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
