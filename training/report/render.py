"""Turning a run into one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from recsvc.bundle.manifest import DataSummary, GateResult, IndexSummary
from recsvc.bundle.types import Float32
from training.compare import PairedComparison, paired
from training.evaluate import Evaluation
from training.report import plots
from training.report.examples import ExampleUser
from training.report.page import template_of
from training.sources.dataset import Rejects
from training.split import Split

_COMPARISON_SEED = 0


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything the page shows.

    `plan` the run's source and settings as the manifest records them; `evaluation` the model first, then its
    baselines; `seconds` wall time by stage, in order; `popularity` float32 (n_items,) summed positive weight;
    `losses` the training loss by iteration, empty when it was not computed; `cold_start` how well items that nobody has
    met are ranked, None where nothing is known of items; `blend` and `blend_groups` how its weights were chosen and
    what they gave each group of users, None of other kinds.
    """

    version: str
    plan: Mapping[str, Any]
    data: DataSummary
    rejects: Rejects
    split: Split
    evaluation: Evaluation
    gate: GateResult
    index: IndexSummary
    seconds: Mapping[str, float]
    popularity: Float32
    examples: Sequence[ExampleUser] = ()
    losses: Sequence[float] = ()
    cold_start: str | None = None
    blend: str | None = None
    blend_groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Figure:
    title: str
    caption: str
    svg: str


def render(report: ReportInput) -> str:
    """The page: self-contained HTML with inline SVG, no script, nothing fetched; every text escaped."""
    template = template_of("report.html")
    means = report.evaluation.means()
    model = next(iter(means), "")
    return template.render(
        report=report,
        means=means,
        metrics=list(means[model]) if model else [],
        best=_best(means),
        model=model,
        groups=report.evaluation.by_activity(),
        comparisons=_comparisons(report.evaluation, model, report.gate.metric),
        figures=_figures(report, means),
        settings=_flat(report.plan),
        notes=[(name, _note(name, value)) for name, value in report.split.notes.items()],
        rejects_file=PurePath(report.rejects.path).name if report.rejects.path else None,
    )


def _best(means: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The highest value of each accuracy metric; the others have no better and worse."""
    accurate = ("recall@", "ndcg@", "map@", "hr@")
    names = next(iter(means.values()), {})
    return {name: max(v[name] for v in means.values()) for name in names if name.startswith(accurate)}


def _comparisons(evaluation: Evaluation, model: str, metric: str) -> dict[str, PairedComparison]:
    """The model against each baseline, user by user, on the gate's metric."""
    values = evaluation.per_user
    if metric not in values.get(model, {}):
        return {}
    return {
        other: paired(values[other][metric], values[model][metric], seed=_COMPARISON_SEED)
        for other in values
        if other != model
    }


def _figures(report: ReportInput, means: Mapping[str, Mapping[str, float]]) -> list[_Figure]:
    evaluation, metric = report.evaluation, report.gate.metric
    figures = []
    if len(evaluation.users):
        at = evaluation.list_length
        shown = [f"recall@{at}", f"ndcg@{at}", f"map@{at}"]
        figures += [
            _Figure(
                "Accuracy",
                "Mean over users with a held-out item; higher is better.",
                plots.accuracy_bars(means, shown),
            ),
            _Figure(
                "Accuracy by activity",
                f"{metric} for users with few and many training interactions.",
                plots.activity_bars(evaluation.by_activity(), metric),
            ),
            _Figure(
                "What accuracy is bought with",
                f"{metric} against what else lists should be: of much of the catalogue (coverage), of what is little "
                "known (novelty), unlike one another (diversity), no more popular than what people choose themselves "
                "(popularity lift 0), not always the same items (Gini 0), and in the user's own proportions of "
                "categories (miscalibration 0).",
                plots.trade_offs(means, metric),
            ),
            _Figure(
                "Popular items and the long tail",
                "How much of the training weight (dashed), and of each model's lists, goes to the most popular "
                "items. The higher the curve, the more a model shows what is popular anyway.",
                plots.long_tail(report.split.popularity, evaluation.recommended),
            ),
        ]
    figures.append(
        _Figure(
            "Popularity of items",
            "Positive training weight of each item, by rank; both axes logarithmic.",
            plots.popularity_curve(report.popularity),
        )
    )
    if len(report.index.measured) > 1:
        figures.append(
            _Figure(
                "Indexes that were tried",
                "Recall@100 against exact search and the time of a search. Exact search was over the budget (dotted); "
                "the fastest index that reached the target (dashed) was kept.",
                plots.index_curves(report.index.measured, report.index.latency_budget_ms, report.index.recall_target),
            )
        )
    if len(report.losses):
        figures.append(_Figure("Training loss", "After each iteration.", plots.loss_curve(report.losses)))
    if report.seconds:
        figures.append(_Figure("Time", "Wall time of each stage.", plots.stage_bars(report.seconds)))
    return figures


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and their values."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", "not set" if value is None else str(value)))
    return rows


def _note(name: str, value: float) -> str:
    # A time in Unix seconds is not a count: no thousands separators.
    return f"{value:.0f}" if "seconds" in name else f"{value:,.0f}"
