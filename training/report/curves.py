"""Curves with bands: the figure, the plain table beside it, and the page that holds both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from training.report.drawing import cycle, standalone, svg
from training.report.page import template_of


@dataclass(frozen=True, slots=True)
class Curve:
    """`values[j]` at the j-th place of the axis; `bands[j]` its interval, None where there is none."""

    name: str
    values: Sequence[float]
    bands: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn figure; `file` the name, without ending, under which it is also kept alone."""

    file: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, sentences, plots and a table, whose cells are as they are to be read."""

    title: str
    words: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    plots: Sequence[Plot] = ()

    def lines(self) -> list[str]:
        """The section for a terminal: columns lined up, the first to the left."""
        cells = [list(self.columns), *map(list, self.rows)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        table = [
            "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells
        ]
        return [self.title, *self.words, *table]


def curves_plot(name: str, ticks: Sequence[str], curves: Sequence[Curve], labels: tuple[str, str]) -> str:
    """Curves over the same places, evenly apart, as an <svg> element; `labels` those of the two axes."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(ticks))
        for curve, colour in zip(curves, cycle(len(curves)), strict=True):
            axes.plot(places, curve.values, color=colour, marker="o", markersize=4, label=curve.name)
            known = [(at, *band) for at, band in enumerate(curve.bands) if band is not None]
            if known:
                at, low, high = np.array(known).T
                axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.set_xticks(places, list(ticks))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        shown = [*(v for curve in curves for v in curve.values), *(b[0] for c in curves for b in c.bands if b)]
        axes.set_ylim(bottom=0.0 if min(shown) >= 0 else None)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    return svg(name, draw)


def write_page(folder: Path, name: str, title: str, sections: Sequence[Section]) -> list[Path]:
    """Writes `folder`/`name`.html, which needs nothing from outside, and each plot as a file beside it.

    Returns the paths, the page first. An earlier page of that name is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}.html"
    text = template_of("curves.html").render(title=title, sections=sections)
    page.write_text(text, "utf-8")
    paths = [page]
    for plot in (plot for section in sections for plot in section.plots):
        path = folder / f"{plot.file}.svg"
        path.write_text(standalone(plot.svg), "utf-8")
        paths.append(path)
    return paths
