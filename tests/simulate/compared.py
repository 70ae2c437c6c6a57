"""The report of a simulation beside what the simulation knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.simulate.outcomes import Outcomes

_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was `reported`, and what is `true`; `holds` whether the two go together."""

    what: str
    reported: str
    true: str
    holds: bool


def counts(
    report: Mapping[str, Any], outcomes: Outcomes, arm: np.ndarray[Any, Any], window_days: int
) -> Iterator[Line]:
    """What was counted through HTTP, Redis, the log and the report is what the simulation did, to the last one."""
    shown = int(outcomes.looked.sum())
    yield _same("impressions", report["exposed"]["impressions"], shown)
    for name, users in report["exposed"]["by_variant"].items():
        members = arm == name
        yield _same(f"users of {name}", users, int((outcomes.exposed & members).sum()))
        yield _same(
            f"complete users of {name}", report["complete"][name], int((outcomes.complete(window_days) & members).sum())
        )
    for number, comparison in enumerate(report["comparisons"]):
        effect = comparison["primary"]["effect"]
        if effect is not None:
            arms = (("control", report["definition"]["control"]), ("treatment", comparison["variant"]))
            for side, name in arms if number == 0 else arms[1:]:
                yield _same(
                    f"clicks an impression, {name}", effect[side], outcomes.click_rate(arm == name, window_days)
                )
        first_day = next(found for found in comparison["retention"] if found["name"] == "D1")["effect"]
        if first_day is not None:
            back, of = outcomes.returned(arm == comparison["variant"], 1)
            yield _same(f"D1, {comparison['variant']}", first_day["treatment"], back / of)


def lifts(report: Mapping[str, Any], truth: Mapping[str, Outcomes], window_days: int) -> Iterator[Line]:
    """The report's intervals for one look hold the lifts among all users, of whom everybody was given the arm."""
    control = truth[report["definition"]["control"]]
    base = control.click_rate(control.exposed, window_days, expected=True)
    for comparison in report["comparisons"]:
        world, effect = truth[comparison["variant"]], comparison["primary"]["effect"]
        if effect is None or effect["relative"] is None:
            continue
        true = world.click_rate(world.exposed, window_days, expected=True) / base - 1
        value, (low, high) = effect["relative"]["value"], effect["relative"]["fixed"]
        yield Line(
            f"lift of {comparison['variant']}",
            f"{value:+.1%} ({low:+.1%} to {high:+.1%})",
            f"{true:+.1%}",
            low <= true <= high,
        )


def _same(what: str, reported: float, true: float) -> Line:
    shown = [f"{value:,}" if isinstance(value, int) else f"{value:.4f}" for value in (reported, true)]
    return Line(what, shown[0], shown[1], abs(reported - true) <= _SAME)
