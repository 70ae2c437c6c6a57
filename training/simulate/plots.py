"""Retention by arm as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from recsvc.bundle.types import Float64


def plot_retention(file: Path, seen: Mapping[str, Float64], truth: Mapping[str, Float64]) -> None:
    """Draws, for each arm, the share that is active on day n after the first: of the arm's own users as a line, and of
    everybody, had everybody been given the arm (`truth`, where it is known), dashed. The suffix chooses the format.
    """
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, (arm, shares) in enumerate(seen.items()):
        days = np.arange(1, len(shares))
        axes.plot(days, shares[1:], color=f"C{number}", label=arm, linewidth=1.8)
        if arm in truth:
            axes.plot(days, truth[arm][1:], color=f"C{number}", linestyle="--", linewidth=1.1)
    axes.set_xlabel("days after the first list" + (" (dashed: all users, given this arm)" if truth else ""))
    axes.set_ylabel("active on that day")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
