"""The report as one HTML page: inline SVG, no script, nothing fetched, every text escaped."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from recsvc.analysis.drawing import forest, looks
from recsvc.analysis.effects import Estimate
from recsvc.analysis.report import Comparison, MetricResult, Report


@dataclass(frozen=True, slots=True)
class _Figures:
    effects: str | None
    looks: str | None


def render(report: Report) -> str:
    """The page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "relative": _relative, "p": _p}
    here = files("recsvc.analysis")
    template = environment.from_string(here.joinpath("report.html").read_text("utf-8"))
    return template.render(
        report=report,
        style=here.joinpath("page.css").read_text("utf-8"),
        figures=[_figures(at, comparison) for at, comparison in enumerate(report.comparisons)],
        groups=_groups,
    )


def _figures(at: int, comparison: Comparison) -> _Figures:
    results = [comparison.primary, *comparison.secondary]
    drawn = any(r.effect is not None and r.effect.relative is not None for r in results)
    return _Figures(
        forest(f"effects{at}", results) if drawn else None,
        looks(f"looks{at}", comparison.looks) if len(comparison.looks) > 1 else None,
    )


def _groups(comparison: Comparison) -> list[tuple[str, str, list[MetricResult]]]:
    """The tables of a comparison: heading, what to mind, rows."""
    return [
        ("Primary metric", "Its always valid interval decides.", [comparison.primary]),
        ("Secondary metrics", "Adjusted p-values below 0.05 count.", list(comparison.secondary)),
        (
            "Retention",
            "Of users whose day is over; in one family with the secondary metrics.",
            list(comparison.retention),
        ),
        ("Segments", "The primary metric in groups of users, a family of its own.", list(comparison.segments)),
    ]


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1_000_000 else f"{value:,.0f}"


def _relative(estimate: Estimate | None, part: str) -> str:
    """`value`, or the ends of `fixed` or `always`, in per cent; a dash where there is none."""
    if estimate is None:
        return "–"
    if part == "value":
        return f"{100 * estimate.value:+.2f} %"
    low, high = estimate.fixed if part == "fixed" else estimate.always
    return f"{100 * low:+.2f} to {100 * high:+.2f} %"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.0001" if value < 0.0001 else f"{value:.4f}"
