"""One treatment against the control: everything the report says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsvc.analysis.days import day_name, day_of
from recsvc.analysis.definition import Definition
from recsvc.analysis.effects import COVARIATE, Effect, effect, moments
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.exposed import Exposed
from recsvc.analysis.guardrails import check
from recsvc.analysis.metrics import METRICS, Metric
from recsvc.analysis.power import sample_size
from recsvc.analysis.report import Comparison, Look, MetricResult, Need
from recsvc.analysis.retention import BRACKETS, Retained, bracket, exact, rolling
from recsvc.analysis.srm import SampleRatio
from recsvc.analysis.users import Activity, UserTable
from recsvc.analysis.verdict import verdict

ALPHA: Final = 0.05
"""Shared by the treatments of an experiment: with k of them each interval is at level 1 − ALPHA/k."""

_MOST_LOOKS: Final = 30
_MOST_PLACEMENTS: Final = 5
_PACE_DAYS: Final = 7

_Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Data:
    """What the comparisons of an experiment share; days before `today` are complete."""

    users: UserTable
    activity: Activity
    exposed: Exposed
    ratio: SampleRatio
    today: int


def compare(metric: Metric, users: UserTable, control: _Rows, treatment: _Rows, alpha: float) -> Effect | None:
    """The effect of a metric between two sets of rows, adjusted by what the users did before their exposure."""
    names = [*metric.columns, *(COVARIATE + name for name in metric.columns)]
    arms = [moments({name: users.columns[name][rows] for name in names}) for rows in (control, treatment)]
    return effect(metric, arms[0], arms[1], alpha)


def compare_with_control(definition: Definition, variant: str, data: Data) -> Comparison:
    """The comparison; p-values are not adjusted yet."""
    users, alpha = data.users, ALPHA / len(definition.treatments)
    control, treatment = users.variant == definition.control, users.variant == variant
    main = METRICS[definition.primary_metric]
    results = {
        name: _result(metric, compare(metric, users, control, treatment, alpha)) for name, metric in METRICS.items()
    }
    primary = results.pop(main.name)
    of_guardrails = {**results, main.name: primary}
    guardrails = [check(guardrail, of_guardrails[guardrail.metric].effect) for guardrail in definition.guardrails]
    need = _need(definition, variant, data, control | treatment, alpha)
    first_windows = day_of(definition.started_at) + definition.outcome_window_days
    expected = day_name(first_windows) if data.today < first_windows else None
    return Comparison(
        variant=variant,
        verdict=verdict(variant, data.ratio, primary, guardrails, need, expected),
        primary=primary,
        secondary=list(results.values()),
        retention=list(_retention(definition.control, variant, data, alpha)),
        segments=[
            replace(
                _result(main, compare(main, users, control & rows, treatment & rows, alpha)), name=name, words=words
            )
            for name, words, rows in _segments(users)
        ],
        guardrails=guardrails,
        looks=list(_looks(main, data, control, treatment, alpha, definition.outcome_window_days)),
        need=need,
    )


def _result(metric: Metric, found: Effect | None) -> MetricResult:
    return MetricResult(metric.name, metric.words, metric.more_is_better, found)


def _segments(users: UserTable) -> Iterator[tuple[str, str, _Rows]]:
    """Groups by what was so before the exposure, or at it: anything later could be the variant's doing."""
    known = users.columns["before_active_days"] > 0
    yield "returning", "users active in the four weeks before their exposure", known
    yield "new", "users not seen in those weeks", ~known
    for placement, _ in Counter(users.placement.tolist()).most_common(_MOST_PLACEMENTS):
        if placement:
            yield f"placement {placement}", "users first exposed there", users.placement == placement


def _looks(
    metric: Metric, data: Data, control: _Rows, treatment: _Rows, alpha: float, window_days: int
) -> Iterator[Look]:
    """The primary effect as it was on the last days, by the users complete by then."""
    over = data.users.exposed_on + window_days
    days = range(int(over.min()), data.today + 1) if len(over) else range(0)
    for day in days[-_MOST_LOOKS:]:
        complete = over <= day
        found = compare(metric, data.users, control & complete, treatment & complete, alpha)
        if found is not None:
            yield Look(day_name(day), found)


def _retention(control: str, variant: str, data: Data, alpha: float) -> Iterator[MetricResult]:
    """D1, D7 and D30, each exact, rolling and within its bracket, of the users for whom that is over."""
    activity = data.activity
    days = (activity.first, activity.user, activity.day, data.today)
    for n, (start, end) in BRACKETS.items():
        yield _returned(f"D{n}", f"active on day {n} after exposure", exact(n, *days), control, variant, data, alpha)
        words = f"active on day {n} or on any later one"
        yield _returned(f"D{n} rolling", words, rolling(n, *days), control, variant, data, alpha)
        words = f"active on any of days {start} to {end}"
        yield _returned(f"D{start}–{end}", words, bracket(start, end, *days), control, variant, data, alpha)


def _returned(
    name: str, words: str, retained: Retained, control: str, variant: str, data: Data, alpha: float
) -> MetricResult:
    metric = Metric(name, words, "came_back")
    arm_of = data.activity.variant[retained.users]
    came_back = retained.came_back.astype(np.float64)
    arms = [moments({"came_back": came_back[arm_of == arm]}) for arm in (control, variant)]
    return _result(metric, effect(metric, arms[0], arms[1], alpha))


def _need(definition: Definition, variant: str, data: Data, rows: _Rows, alpha: float) -> Need | None:
    """None where the users of both arms do not vary yet."""
    metric = METRICS[definition.primary_metric]
    columns = [*metric.columns, *(COVARIATE + name for name in metric.columns)]
    weights = {arm.name: arm.weight for arm in definition.variants}
    try:
        size = sample_size(
            metric,
            moments({name: data.users.columns[name][rows] for name in columns}),
            definition.minimum_effect,
            alpha=alpha,
            ratio=weights[variant] / weights[definition.control],
        )
    except AnalysisRefused:
        return None
    more = max(0, size.always - int(rows.sum()))
    arms = (variant, definition.control)
    joined = sum(
        n for day, arm, n in data.exposed.by_day if arm in arms and data.today - _PACE_DAYS <= day < data.today
    )
    return Need(size, more, more * _PACE_DAYS / joined if joined else None)
