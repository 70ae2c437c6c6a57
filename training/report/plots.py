"""The report's plots as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from recsvc.bundle.manifest import IndexPoint
from recsvc.bundle.types import Float32, Float64, Int64
from training.evaluate import ActivityGroup
from training.report.drawing import COLOURS, INK, cycle, panels, svg

_BEYOND: Final = {
    "coverage": "coverage",
    "novelty": "novelty, bits",
    "diversity": "diversity",
    "pop-lift": "popularity lift",
    "gini": "Gini of exposure",
    "calib-kl": "miscalibration, nats",
}
"""What the trade-off shows against accuracy, and what each axis says."""


def accuracy_bars(means: Mapping[str, Mapping[str, float]], metrics: Sequence[str]) -> str:
    """A bar for each model in a group for each metric."""

    def draw(axes: Axes) -> None:
        _bars(axes, list(metrics), {model: [v[name] for name in metrics] for model, v in means.items()})

    return svg("accuracy", draw)


def activity_bars(groups: Sequence[ActivityGroup], metric: str) -> str:
    """A bar for each model in a group for each range of training interactions."""

    def draw(axes: Axes) -> None:
        models = groups[0].means if groups else {}
        labels = [f"{group.label}\n({group.n_users:,} users)" for group in groups]
        _bars(axes, labels, {model: [g.means[model][metric] for g in groups] for model in models})
        axes.set_xlabel("training interactions of the user")
        axes.set_ylabel(metric)

    return svg("activity", draw)


def trade_offs(means: Mapping[str, Mapping[str, float]], metric: str) -> str:
    """Accuracy against each thing that may be bought with it: a plot each, a point for each model.

    `metric` the accuracy, such as "ndcg@10"; the others are taken at the same length, as far as they were measured.
    """
    at = metric.split("@")[1]
    first = next(iter(means.values()), {})
    shown = [name for name in _BEYOND if f"{name}@{at}" in first]

    def draw(axes: list[Axes]) -> None:
        for one, name in zip(axes, shown, strict=True):
            for (model, values), colour in zip(means.items(), cycle(len(means)), strict=True):
                one.plot(values[f"{name}@{at}"], values[metric], "o", color=colour, label=model)
            one.set_xlabel(_BEYOND[name])
            one.xaxis.set_major_locator(MaxNLocator(3))
            one.margins(0.2)
            one.set_ylim(0, 1.15 * max(1e-6, *(values[metric] for values in means.values())))
        for one in axes[::3]:
            one.set_ylabel(metric)
        handles, labels = axes[0].get_legend_handles_labels()
        figure = axes[0].get_figure(root=True)
        assert figure is not None  # noqa: S101 - axes of a figure
        figure.legend(handles, labels, loc="outside upper left", ncols=4)

    return panels("trade-offs", len(shown), 3, draw, (6.0, 4.4 if len(shown) > 3 else 2.4))


def long_tail(popularity: Float32, recommended: Mapping[str, Int64]) -> str:
    """Share of the training weight, and of each model's recommendations, that goes to the most popular items.

    `popularity` float32 (n_items,); `recommended` by model int64 (n_items,), how many lists hold each item.
    """
    order = np.argsort(-popularity, kind="stable")

    def draw(axes: Axes) -> None:
        share = np.arange(len(order) + 1) / max(len(order), 1)
        axes.plot(share, _cumulative(popularity[order]), color=INK, linestyle="--", label="training")
        for (model, counts), colour in zip(recommended.items(), cycle(len(recommended)), strict=True):
            axes.plot(share, _cumulative(counts[order]), color=colour, label=model)
        axes.set_xlabel("share of the catalogue, most popular first")
        axes.set_ylabel("share of the total")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower right")

    return svg("tail", draw)


def popularity_curve(popularity: Float32) -> str:
    """Positive training weight of each item against its rank, both on logarithmic axes."""
    weights = np.sort(popularity[popularity > 0])[::-1]

    def draw(axes: Axes) -> None:
        if len(weights):
            axes.loglog(np.arange(1, len(weights) + 1), weights, color=COLOURS[0])
            # Powers of ten would be set as mathematics, which is switched off.
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.yaxis.set_major_formatter("{x:,g}")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.minorticks_off()
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("positive training weight")

    return svg("popularity", draw)


def stage_bars(seconds: Mapping[str, float]) -> str:
    """Wall time of each stage of the run, in seconds, in the order they ran."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(seconds))
        bars = axes.barh(places, list(seconds.values()), color=COLOURS[0])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.set_yticks(places, [_short(name) for name in seconds])
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlabel("seconds")
        axes.margins(x=0.12)

    return svg("stages", draw)


def index_curves(points: Sequence[IndexPoint], budget_ms: float | None, target: float | None) -> str:
    """Recall@100 against the median time of a search: a line for each kind of index, a point for each setting."""

    def draw(axes: Axes) -> None:
        kinds = list(dict.fromkeys(point.kind for point in points))
        for kind, colour in zip(kinds, cycle(len(kinds)), strict=True):
            own = [point for point in points if point.kind == kind]
            axes.plot([p.search_ms_median for p in own], [p.recall_at_100 for p in own], "o-", color=colour, label=kind)
        if budget_ms is not None:
            axes.axvline(budget_ms, color=INK, linestyle=":", linewidth=1)
        if target is not None:
            axes.axhline(target, color=INK, linestyle="--", linewidth=1)
        axes.set_xlabel("median search, ms")
        axes.set_ylabel("recall@100")
        axes.set_xlim(left=0)
        axes.legend(loc="lower right")

    return svg("index", draw)


def loss_curve(losses: Sequence[float]) -> str:
    """Training loss after each iteration."""

    def draw(axes: Axes) -> None:
        axes.plot(np.arange(1, len(losses) + 1), losses, color=COLOURS[0], marker="o", markersize=3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("iteration")
        axes.set_ylabel("loss")

    return svg("loss", draw)


def _bars(axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]]) -> None:
    places = np.arange(len(groups))
    width = 0.8 / max(len(series), 1)
    for at, ((model, values), colour) in enumerate(zip(series.items(), cycle(len(series)), strict=True)):
        axes.bar(places + (at - (len(series) - 1) / 2) * width, values, width * 0.92, color=colour, label=model)
    axes.set_xticks(places, list(groups))
    if series:
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=3)


def _cumulative(values: Float32 | Int64) -> Float64:
    summed = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    return summed / summed[-1] if summed[-1] > 0 else summed


def _short(name: str, limit: int = 32) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"
