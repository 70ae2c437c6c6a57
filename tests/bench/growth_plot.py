"""The growth of requests and of worker processes, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from training.report.drawing import COLOURS, panels, standalone


def growth_plot(
    items: Sequence[int], by_items: Sequence[dict[str, Any]], users: Sequence[int], by_users: Sequence[dict[str, Any]]
) -> str:
    """Processor time of a list and memory of a process, over the number of items and of users; an SVG file's text.

    `by_items` and `by_users` are what `tests.bench.opening_child` measured at each size.
    """

    def draw(axes: list[Axes]) -> None:
        for column, (sizes, runs, what) in enumerate(((items, by_items, "items"), (users, by_users, "users"))):
            time, memory = axes[column], axes[2 + column]
            time.plot(sizes, [run["list_cpu_ms"] for run in runs], "o-", color=COLOURS[0], label="a user's list")
            time.plot(
                sizes, [run["newcomer_cpu_ms"] for run in runs], "o-", color=COLOURS[1], label="a newcomer's list"
            )
            memory.plot(sizes, [run["served_bytes"] / 1e6 for run in runs], "o-", color=COLOURS[2])
            memory.set_xlabel(what)
            for one in (time, memory):
                one.set_xscale("log")
                one.xaxis.set_major_formatter("{x:,g}")
                one.set_ylim(bottom=0)
        axes[0].set_ylabel("processor time, ms")
        axes[2].set_ylabel("private memory, MB")
        axes[0].legend(loc="upper left")

    return standalone(panels("growth", 4, 2, draw, (7.0, 4.6)))
