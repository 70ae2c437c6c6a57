"""The report's plots as inline SVG: the same bytes for the same numbers, in the page's own text colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from recsvc.bundle.types import Float32, Float64, Int64
from training.evaluate import ActivityGroup

# Drawn in these, then replaced by what the page's light or dark scheme says.
_INK: Final = "#010203"
_FAINT: Final = "#040506"
_COLOURS: Final = ("#3b82c4", "#d9822b", "#4a9d6f", "#a06bb5", "#c2554d", "#8a8a3a")
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _FAINT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def accuracy_bars(means: Mapping[str, Mapping[str, float]], metrics: Sequence[str]) -> str:
    """A bar for each model in a group for each metric."""

    def draw(axes: Axes) -> None:
        _bars(axes, list(metrics), {model: [v[name] for name in metrics] for model, v in means.items()})

    return _svg("accuracy", draw)


def activity_bars(groups: Sequence[ActivityGroup], metric: str) -> str:
    """A bar for each model in a group for each range of training interactions."""

    def draw(axes: Axes) -> None:
        models = groups[0].means if groups else {}
        labels = [f"{group.label}\n({group.n_users:,} users)" for group in groups]
        _bars(axes, labels, {model: [g.means[model][metric] for g in groups] for model in models})
        axes.set_xlabel("training interactions of the user")
        axes.set_ylabel(metric)

    return _svg("activity", draw)


def long_tail(popularity: Float32, recommended: Mapping[str, Int64]) -> str:
    """Share of the training weight, and of each model's recommendations, that goes to the most popular items.

    `popularity` float32 (n_items,); `recommended` by model int64 (n_items,), how many lists hold each item.
    """
    order = np.argsort(-popularity, kind="stable")

    def draw(axes: Axes) -> None:
        share = np.arange(len(order) + 1) / max(len(order), 1)
        axes.plot(share, _cumulative(popularity[order]), color=_INK, linestyle="--", label="training")
        for (model, counts), colour in zip(recommended.items(), _cycle(len(recommended)), strict=True):
            axes.plot(share, _cumulative(counts[order]), color=colour, label=model)
        axes.set_xlabel("share of the catalogue, most popular first")
        axes.set_ylabel("share of the total")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower right")

    return _svg("tail", draw)


def popularity_curve(popularity: Float32) -> str:
    """Positive training weight of each item against its rank, both on logarithmic axes."""
    weights = np.sort(popularity[popularity > 0])[::-1]

    def draw(axes: Axes) -> None:
        if len(weights):
            axes.loglog(np.arange(1, len(weights) + 1), weights, color=_COLOURS[0])
            # Powers of ten would be set as mathematics, which is switched off.
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.yaxis.set_major_formatter("{x:,g}")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.minorticks_off()
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("positive training weight")

    return _svg("popularity", draw)


def stage_bars(seconds: Mapping[str, float]) -> str:
    """Wall time of each stage of the run, in seconds, in the order they ran."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(seconds))
        bars = axes.barh(places, list(seconds.values()), color=_COLOURS[0])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.set_yticks(places, [_short(name) for name in seconds])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlabel("seconds")
        axes.margins(x=0.12)

    return _svg("stages", draw)


def loss_curve(losses: Sequence[float]) -> str:
    """Training loss after each iteration."""

    def draw(axes: Axes) -> None:
        axes.plot(np.arange(1, len(losses) + 1), losses, color=_COLOURS[0], marker="o", markersize=3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("iteration")
        axes.set_ylabel("loss")

    return _svg("loss", draw)


def _bars(axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> None:
    places = np.arange(len(groups))
    width = 0.8 / max(len(series), 1)
    for at, ((model, values), colour) in enumerate(zip(series.items(), _cycle(len(series)), strict=True)):
        axes.bar(places + (at - (len(series) - 1) / 2) * width, values, width * 0.92, color=colour, label=model)
    axes.set_xticks(places, list(groups))
    if series:
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=3)


def _cycle(n: int) -> list[str]:
    return [_COLOURS[at % len(_COLOURS)] for at in range(n)]


def _cumulative(values: Float32 | Int64) -> Float64:
    summed = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    return summed / summed[-1] if summed[-1] > 0 else summed


def _short(name: str, limit: int = 32) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def _svg(name: str, draw: Callable[[Axes], None]) -> str:
    """Draws one figure and returns its <svg> element; `name` keeps ids apart from the page's other figures."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(6.0, 3.4), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\b(id=")', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    return svg.replace(_INK, "currentColor").replace(_FAINT, "var(--faint)")
