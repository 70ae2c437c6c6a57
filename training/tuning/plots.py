"""The plots of the tuning report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from recsvc.bundle.types import Bool, Float64
from training.report.drawing import COLOURS, FAINT, INK, panels, svg


def history(values: Mapping[int, float], metric: str) -> str:
    """The value of each complete trial by its number, and the best so far."""

    def draw(axes: Axes) -> None:
        numbers = sorted(values)
        reached = np.array([values[number] for number in numbers])
        axes.step(numbers, np.maximum.accumulate(reached), where="post", color=INK, linestyle="--", label="best so far")
        axes.plot(numbers, reached, "o", color=COLOURS[0], markersize=4, label="trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        axes.legend(loc="lower right")

    return svg("history", draw)


def importance_bars(importance: Mapping[str, float]) -> str:
    """A bar for each parameter, in the order given."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(importance))
        axes.bar_label(axes.barh(places, list(importance.values()), color=COLOURS[0]), fmt="%.2f", padding=3)
        axes.set_yticks(places, list(importance))
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlabel("share of the importance")
        axes.margins(x=0.12)

    return svg("importance", draw)


def settings(
    points: Mapping[str, Sequence[float]], logarithmic: Sequence[str], values: Sequence[float], metric: str
) -> str:
    """A plot for each setting: each complete trial's value against it. `points` by setting, ordered as `values`."""

    def draw(axes: list[Axes]) -> None:
        for at, (one, (name, tried)) in enumerate(zip(axes, points.items(), strict=True)):
            one.plot(tried, values, "o", color=COLOURS[0], markersize=3)
            one.set_xlabel(name)
            if name in logarithmic:
                _logarithmic(one, (1, 3))
            if at % 3 == 0:
                one.set_ylabel(metric)

    rows = -(-len(points) // 3)
    return panels("settings", len(points), 3, draw, (9.0, 2.2 * rows))


def front(name: str, costs: Sequence[float], values: Sequence[float], cost: str, metric: str) -> str:
    """Each complete trial as (cost, value); those that no other beats in both are joined. `name` tells plots apart."""
    spent, reached = np.array(costs), np.array(values)
    best = on_front(spent, reached)

    def draw(axes: Axes) -> None:
        axes.plot(spent[~best], reached[~best], "o", color=FAINT, markersize=4, label="beaten in both")
        order = np.flatnonzero(best)[np.argsort(spent[best], kind="stable")]
        axes.plot(spent[order], reached[order], "o-", color=COLOURS[1], markersize=5, label="front")
        _logarithmic(axes, (1, 2, 5))
        axes.set_xlabel(cost)
        axes.set_ylabel(metric)
        axes.legend(loc="lower right")

    return svg(name, draw)


def on_front(costs: Float64, values: Float64) -> Bool:
    """Which points no other beats: none costs no more and is worth no less, one of the two strictly; bool (n,)."""
    no_dearer = costs[None, :] <= costs[:, None]
    no_worse = values[None, :] >= values[:, None]
    strictly = (costs[None, :] < costs[:, None]) | (values[None, :] > values[:, None])
    beaten: Bool = np.asarray(np.any(no_dearer & no_worse & strictly, axis=1))
    return ~beaten


def _logarithmic(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    # Powers of ten would be set as mathematics, which is switched off.
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.minorticks_off()
