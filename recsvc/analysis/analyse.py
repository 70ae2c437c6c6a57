"""From the aggregates of the log to the report of one experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from recsvc.analysis.aggregates import Aggregates
from recsvc.analysis.comparison import Data, compare_with_control
from recsvc.analysis.days import day_name
from recsvc.analysis.definition import Definition
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.exposed import find_exposed
from recsvc.analysis.interleaving import read_preferences
from recsvc.analysis.multiplicity import adjusted
from recsvc.analysis.report import Comparison, DayStates, MetricResult, Report
from recsvc.analysis.retention import lifecycle
from recsvc.analysis.slots import by_position, by_source
from recsvc.analysis.srm import sample_ratio
from recsvc.analysis.users import Activity, prepare_activity, read_activity, read_users

_LIFECYCLE_DAYS: Final = 14


def analyse(aggregates: Aggregates, definition: Definition) -> Report:
    """The report. Raises `AnalysisRefused` where nobody was exposed."""
    connection, today = aggregates.connection, aggregates.today
    exposed = find_exposed(connection, definition)
    if not exposed.users:
        raise AnalysisRefused(
            f"{definition.key}, phase {definition.phase}: nobody was exposed to it in the log (an impression with a "
            f"valid recommendation_id; {exposed.forced} users were forced, {exposed.crossed} seen in several "
            "variants); check key, phase and started_at, and that impressions are sent"
        )
    prepare_activity(connection, definition.key, definition.phase)
    users = read_users(connection, definition.outcome_window_days, today)
    activity = read_activity(connection, today)
    ratio = sample_ratio(exposed.by_variant, definition.variants)
    data = Data(users, activity, exposed, ratio, today)
    names = [variant.name for variant in definition.variants]
    return Report(
        definition=definition,
        as_of=day_name(today),
        exposed=exposed,
        complete={name: int((users.variant == name).sum()) for name in names},
        sample_ratio=ratio,
        comparisons=_adjusted([compare_with_control(definition, name, data) for name in definition.treatments]),
        lifecycle=[states for name in names for states in _states(name, activity, today)],
        positions=by_position(connection, definition.key, definition.phase),
        sources=by_source(connection, definition.key, definition.phase),
        preferences=read_preferences(connection, definition.key, definition.phase),
    )


def _adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """With adjusted p-values: secondary metrics and retention are one family, segments another, over all treatments."""
    secondary = _family([c.secondary for c in comparisons] + [c.retention for c in comparisons])
    segments = _family([c.segments for c in comparisons])
    count = len(comparisons)
    return [
        replace(c, secondary=secondary[at], retention=secondary[count + at], segments=segments[at])
        for at, c in enumerate(comparisons)
    ]


def _family(groups: Sequence[Sequence[MetricResult]]) -> list[list[MetricResult]]:
    """The results of a family, group by group as they came."""
    p_values = iter(adjusted([r.effect.p_value for group in groups for r in group if r.effect is not None]))
    return [[r if r.effect is None else replace(r, adjusted_p=next(p_values)) for r in group] for group in groups]


def _states(variant: str, activity: Activity, today: int) -> list[DayStates]:
    """The states of a variant's users on its last complete days."""
    rows = activity.variant == variant
    of_variant = rows[activity.user]
    start = today - _LIFECYCLE_DAYS
    found = lifecycle(activity.user[of_variant], activity.day[of_variant], start, today)
    counts = zip(found.new, found.current, found.resurrected, found.dormant, strict=True)
    return [DayStates(variant, day_name(start + at), *map(int, states)) for at, states in enumerate(counts)]
