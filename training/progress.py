"""What a run tells the person at the terminal: each stage as it starts, and how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Prints stages to standard error and keeps their seconds; `quiet` prints nothing."""

    quiet: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Times one stage; what was printed inside it stays in order with its lines."""
        self.say(f"• {what} …")
        started = time.perf_counter()
        yield
        took = time.perf_counter() - started
        self.seconds[what] = self.seconds.get(what, 0.0) + took
        self.say(f"  {took:.1f} s")

    def say(self, line: str) -> None:
        """Prints one line, unless quiet."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)
