"""How large an experiment has to be, by how users behaved lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recsvc.analysis.aggregates import Aggregates
from recsvc.analysis.effects import COVARIATE, moments
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.exposed import find_accounts
from recsvc.analysis.metrics import METRICS
from recsvc.analysis.power import SampleSize, sample_size
from recsvc.analysis.users import prepare_recent, read_users


@dataclass(frozen=True, slots=True)
class Plan:
    """`users` were shown recommendations in the last complete `days`; at that pace two arms of equal size are full
    after `periods` such periods."""

    size: SampleSize
    metric: str
    days: int
    users: int

    @property
    def periods(self) -> float:
        """How many such periods it takes, looking at any time; nobody counted twice."""
        return self.size.always / self.users

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values: `any_look` and `one_look` are users of both arms together."""
        size = self.size
        return {
            "metric": self.metric,
            "days": self.days,
            "effect": size.effect,
            "mean": size.mean,
            "deviation": size.deviation,
            "variance_saved": size.variance_saved,
            "users_seen": self.users,
            "any_look": {"users": size.always, "periods": self.periods},
            "one_look": {"users": size.fixed, "periods": size.fixed / self.users},
        }


def plan(aggregates: Aggregates, metric: str, effect: float, days: int) -> Plan:
    """The sample size for a relative `effect`, outcomes counted over `days`, as if all had been exposed `days` ago.

    Raises `AnalysisRefused` where the log has nobody to go by, or no such metric.
    """
    if metric not in METRICS:
        raise AnalysisRefused(f"there is no metric {metric!r}; choose from {', '.join(METRICS)}")
    chosen = METRICS[metric]
    find_accounts(aggregates.connection)
    prepare_recent(aggregates.connection, days, aggregates.today)
    users = read_users(aggregates.connection, days, aggregates.today)
    if not len(users):
        raise AnalysisRefused(
            f"nobody was shown recommendations in the last {days} complete days of the log (impressions with a valid "
            "recommendation_id); take a longer period, or ask again tomorrow: the running day is not counted"
        )
    names = [*chosen.columns, *(COVARIATE + name for name in chosen.columns)]
    found = sample_size(chosen, moments({name: users.columns[name] for name in names}), effect)
    return Plan(found, metric, days, len(users))
