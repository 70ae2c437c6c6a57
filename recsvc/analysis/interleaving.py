"""Interleaving: which of two rankings users prefer, when one list is made of both.

Team-draft interleaving: Radlinski, Kurup, Joachims, "How does clickthrough data reflect retrieval quality?"
(CIKM 2008).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from duckdb import DuckDBPyConnection
from scipy import stats

from recsvc.bundle.types import Float64

CREDIT: Final[dict[str, float]] = {"clicks": 1.0, "positives": 2.0, "hides": -1.0}
"""What an outcome is worth to the team of the item; `clicks` alone is the classical credit."""

LEAST_USERS: Final = 50

_CREDITS: Final = """
SELECT coalesce(a.account, t.user_id) AS account, t.team, sum(t.clicks) AS clicks, sum(t.positives) AS positives,
    sum(t.hides) AS hides
FROM teams t LEFT JOIN accounts a ON a.user_id = t.user_id
WHERE t.experiment = ? AND t.phase = ? GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Preference:
    """Users and what they prefer: `first_wins`, `second_wins` and `ties` count users with any credit.

    `score` the mean over users of (credit of the second − credit of the first) as a share of both, −1 to 1, with its
    95 % `interval` and `t_p_value`; `sign_p_value` of the exact sign test over those who prefer one. Both p-values are
    for one look. None where too few users have credit.
    """

    first: str
    second: str
    users: int
    first_wins: int
    second_wins: int
    ties: int
    score: float
    interval: tuple[float, float] | None
    t_p_value: float | None
    sign_p_value: float | None


def preference(first: str, second: str, first_credit: Float64, second_credit: Float64) -> Preference:
    """The preference between two teams; credits float64 (n_users,). Users without any credit say nothing."""
    weight = np.abs(first_credit) + np.abs(second_credit)
    said = weight > 0
    scores = (second_credit[said] - first_credit[said]) / weight[said]
    wins = int((scores > 0).sum()), int((scores < 0).sum())
    users = len(scores)
    mean = float(scores.mean()) if users else 0.0
    enough = users >= LEAST_USERS and float(scores.std()) > 0
    interval = t_p_value = sign_p_value = None
    if enough:
        test = stats.ttest_1samp(scores, 0.0)
        found = test.confidence_interval(0.95)
        interval, t_p_value = (float(found.low), float(found.high)), float(test.pvalue)
        sign_p_value = float(stats.binomtest(wins[0], sum(wins)).pvalue) if sum(wins) else 1.0
    return Preference(
        first, second, users, wins[1], wins[0], users - sum(wins), mean, interval, t_p_value, sign_p_value
    )


def read_preferences(
    connection: DuckDBPyConnection, key: str, phase: int, credit: Mapping[str, float] = CREDIT
) -> list[Preference]:
    """The preference of every later team against the first, by name; none where no event names two teams.

    Reads `teams` and `accounts`. `credit` the worth of `clicks`, `positives` and `hides`; those left out count nothing.
    """
    found = connection.execute(_CREDITS, [key, phase]).fetchnumpy()
    accounts, users = np.unique(np.asarray(found["account"], str), return_inverse=True)
    names, teams = np.unique(np.asarray(found["team"], str), return_inverse=True)
    if len(names) < 2:
        return []
    earned = np.zeros((len(names), len(accounts)))
    worth = sum(weight * np.asarray(found[outcome], np.float64) for outcome, weight in credit.items())
    np.add.at(earned, (teams, users), worth)
    return [preference(str(names[0]), str(names[at]), earned[0], earned[at]) for at in range(1, len(names))]
