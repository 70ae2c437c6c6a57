"""Figures as inline SVG: the same bytes for the same numbers, in the page's own text colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsvc.analysis.report import Look, MetricResult

# Drawn in these, then replaced by what the page's light or dark scheme says.
_INK: Final = "#010203"
_FAINT: Final = "#040506"
_BLUE: Final = "#3b82c4"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_PERCENT: Final = 100.0


def forest(name: str, results: Sequence[MetricResult]) -> str:
    """Relative effects in per cent, one a line: the always valid interval thin, the one for a single look thick."""
    known = [(r.name, r.effect.relative) for r in results if r.effect is not None and r.effect.relative is not None]

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=_INK, linewidth=0.8)
        for line, (_, found) in enumerate(reversed(known)):
            for (low, high), width in ((found.always, 1.0), (found.fixed, 4.0)):
                axes.hlines(line, _PERCENT * low, _PERCENT * high, color=_BLUE, linewidth=width, alpha=0.7)
            axes.plot(_PERCENT * found.value, line, "o", color=_INK, markersize=4)
        axes.set_yticks(range(len(known)), [label for label, _ in reversed(known)])
        axes.set_xlabel("change against the control, %")

    return _svg(name, draw, (6.0, 0.8 + 0.28 * len(known)))


def looks(name: str, seen: Sequence[Look]) -> str:
    """The primary effect day by day, with the band that may be looked at every day."""

    def draw(axes: Axes) -> None:
        days = list(range(len(seen)))
        axes.axhline(0, color=_INK, linewidth=0.8)
        low, high = zip(*(look.effect.difference.always for look in seen), strict=True)
        axes.fill_between(days, low, high, color=_BLUE, alpha=0.18, linewidth=0)
        axes.plot(days, [look.effect.difference.value for look in seen], color=_BLUE, marker="o", markersize=3)
        shown = days[:: max(1, len(days) // 6)]
        axes.set_xticks(shown, [seen[day].day[5:] for day in shown])
        axes.set_ylabel("difference to the control")

    return _svg(name, draw, (6.0, 2.8))


def _svg(name: str, draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
    """One plot as its <svg> element; `name`, of letters and digits, keeps its ids apart from those of the others."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=inches, layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\b(id=")', rf"\g<1>{name}-", text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    return text.replace(_INK, "currentColor").replace(_FAINT, "var(--faint)")
