"""What one line of the benchmark says, and the statistics it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Context:
    """Where a part finds and leaves files: `data_dir` the known data sets, `scratch` an empty folder, removed after.

    `millions` the sizes of the parts that measure growth: of events in millions, each larger than the one before.
    """

    data_dir: Path
    scratch: Path
    millions: tuple[int, ...] = (1, 10)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line. `value` in `unit`, lower is better unless it is `at_least`; `samples` what it is the median of, in the
    same unit.

    `target` the most it should be (`at_least`: the least), None when the figure is only reported. `missing` says what
    the line would have needed (then there is no value). `details` goes to the JSON file, and `notes` under the table
    too.
    """

    name: str
    unit: str
    value: float | None = None
    target: float | None = None
    samples: Sequence[float] = ()
    missing: str | None = None
    notes: Sequence[str] = ()
    details: dict[str, Any] = field(default_factory=dict)
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a value or a target."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


Part: TypeAlias = Callable[[Context], list[Measurement]]


def of_samples(
    name: str,
    unit: str,
    samples: Sequence[float],
    *,
    target: float | None = None,
    notes: Sequence[str] = (),
    details: dict[str, Any] | None = None,
    at_least: bool = False,
) -> Measurement:
    """A line whose value is the median of its samples."""
    return Measurement(
        name,
        unit,
        median(samples),
        target,
        samples=tuple(samples),
        notes=notes,
        details=dict(details or {}),
        at_least=at_least,
    )


def seconds_of(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def per_call_microseconds(
    ours: Callable[[], object], bare: Callable[[], object], *, rounds: int = 15, round_seconds: float = 0.05
) -> tuple[list[float], list[float]]:
    """Microseconds a call of two functions, one sample a round; the rounds alternate, so that both meet the same noise.

    A round repeats the call for about `round_seconds`.
    """
    counts = [max(1, int(round_seconds / max(seconds_of(call), seconds_of(call), 1e-7))) for call in (ours, bare)]
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, count, kept in zip((ours, bare), counts, samples, strict=True):
            started = time.perf_counter()
            for _ in range(count):
                call()
            kept.append((time.perf_counter() - started) / count * 1e6)
    return samples


def ratio_of_medians(ours: Sequence[float], bare: Sequence[float]) -> float:
    """The median of `ours` over the median of `bare`."""
    return median(ours) / median(bare)
