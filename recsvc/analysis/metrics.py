"""The metrics of a report, each a mean or a ratio over users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """`numerator` and `denominator` are columns of the user table; without a denominator it is a mean over users.

    With one it is the ratio of the two sums, and users are still the unit (delta method). `words` what it counts.
    """

    name: str
    words: str
    numerator: str
    denominator: str | None = None
    more_is_better: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


_ALL: Final = (
    Metric("ctr", "views of recommended items per impression", "clicks", "impressions"),
    Metric("views", "views a user", "views"),
    Metric("positives", "likes, comments, shares, follows, saves and finishes a user", "positives"),
    Metric("completion", "mean completion of views and finishes that report one", "completion", "completions"),
    Metric("active_days", "days with an event other than an impression, a user", "active_days"),
    Metric("sessions", "sessions a user", "sessions"),
    Metric("hides", "skips and 'not interested' a user", "hides", more_is_better=False),
    Metric("reports", "reports a user", "reports", more_is_better=False),
    Metric("unsubscribes", "unsubscriptions a user", "unsubscribes", more_is_better=False),
    Metric("survey", "mean score of survey answers", "survey", "surveys"),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ALL}
"""By name, in the order of the report."""
