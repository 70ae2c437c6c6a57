"""Drawing figures as SVG: the same bytes for the same numbers, in the page's own text colour."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Drawn in these, then replaced by what the page's light or dark scheme says.
INK: Final = "#010203"
FAINT: Final = "#040506"
COLOURS: Final = ("#3b82c4", "#d9822b", "#4a9d6f", "#a06bb5", "#c2554d", "#8a8a3a")
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def cycle(n: int) -> list[str]:
    """A colour for each of n models, in order."""
    return [COLOURS[at % len(COLOURS)] for at in range(n)]


def svg(name: str, draw: Callable[[Axes], None]) -> str:
    """One plot as its <svg> element; `name` keeps ids apart from the page's other figures."""

    def draw_first(axes: list[Axes]) -> None:
        draw(axes[0])

    return panels(name, 1, 1, draw_first, (6.0, 3.4))


def panels(name: str, n: int, columns: int, draw: Callable[[list[Axes]], None], inches: tuple[float, float]) -> str:
    """Small multiples: `n` plots side by side in rows of `columns`, as one <svg> element of `inches`."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=inches, layout="constrained")
        figure.patch.set_alpha(0)
        axes = [figure.add_subplot(-(-n // columns), columns, at + 1) for at in range(n)]
        for one in axes:
            one.patch.set_alpha(0)
        draw(axes)
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _in_page_colours(name, out.getvalue())


def standalone(element: str) -> str:
    """An <svg> element of a page as a file of its own: on a sheet of paper, since there is no page to take colours
    from."""
    own = re.sub(
        r"(<svg[^>]*>)",
        r"\1<style>svg { color: #1d2129; --faint: #d5d9df; font-family: sans-serif }</style>"
        r'<rect width="100%" height="100%" fill="#fdfdfc"/>',
        element,
        count=1,
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{own}'


def _in_page_colours(name: str, text: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\b(id=")', rf"\g<1>{name}-", text)
    text = re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    return text.replace(INK, "currentColor").replace(FAINT, "var(--faint)")
