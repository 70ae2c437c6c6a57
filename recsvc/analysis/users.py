"""What each exposed user did: one row per account, before exposure and from it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from recsvc.analysis.counters import COUNTS
from recsvc.bundle.types import Float64, Int64

COVARIATE_DAYS: Final = 28
"""How far back the covariates reach: that many days before the day of exposure, which itself is left out."""

COLUMNS: Final = (*COUNTS, "active_days", "sessions")
"""Columns of the user table; each has a covariate of the same name with `before_` put in front."""

_SUMS: Final = ", ".join(f"coalesce(sum({name}), 0)::DOUBLE AS {name}" for name in COUNTS)
_COUNTS: Final = ", ".join(COUNTS)
_ALL: Final = (*COLUMNS, *(f"before_{name}" for name in COLUMNS))

_ACTIVITY: Final = f"""
CREATE OR REPLACE TEMP VIEW activity AS
SELECT coalesce(a.account, d.user_id) AS account, d.day, {_COUNTS}, sessions
FROM daily d LEFT JOIN accounts a ON a.user_id = d.user_id
"""
"""Rows per user id and day, under the account that the user became; of several parts, several rows."""

_FIRST_DAYS: Final = f"""
CREATE OR REPLACE TEMP TABLE first_days AS
SELECT x.account, x.day, {_COUNTS}, sessions
FROM first_day f JOIN exposures p USING (partition, experiment, phase, user_id)
LEFT JOIN accounts a ON a.user_id = f.user_id
JOIN exposed x ON x.account = coalesce(a.account, f.user_id) AND x.day = p.first.day
WHERE f.experiment = ? AND f.phase = ?
"""

_RECENT: Final = """
CREATE OR REPLACE TEMP TABLE exposed AS
SELECT coalesce(a.account, d.user_id) AS account, '' AS variant, 0::BIGINT AS exposed_at,
    ($today - $days)::INTEGER AS day, '' AS placement, false AS crossed
FROM daily d LEFT JOIN accounts a ON a.user_id = d.user_id
WHERE d.day >= $today - $days AND d.day < $today GROUP BY ALL HAVING sum(d.impressions) > 0
"""

_USERS: Final = f"""
WITH days AS MATERIALIZED (
    SELECT account, 0 AS age, {_COUNTS}, sessions FROM first_days
    UNION ALL
    SELECT account, a.day - x.day AS age, {_COUNTS}, sessions FROM activity a JOIN exposed x USING (account)
    WHERE a.day <> x.day AND a.day >= x.day - {COVARIATE_DAYS} AND a.day < x.day + $window
), sums AS (
    SELECT account, {", ".join(f"sum({name}) FILTER (WHERE age >= 0) AS {name}" for name in COUNTS)},
        {", ".join(f"sum({name}) FILTER (WHERE age < 0) AS before_{name}" for name in COUNTS)}
    FROM days GROUP BY account
), active AS (
    SELECT account, count(*) FILTER (WHERE age >= 0) AS active_days,
        count(*) FILTER (WHERE age < 0) AS before_active_days
    FROM (SELECT DISTINCT account, age FROM days WHERE events > 0) GROUP BY account
), visits AS (
    SELECT account, count(*) FILTER (WHERE later) AS sessions, count(*) FILTER (WHERE NOT later) AS before_sessions
    FROM (SELECT DISTINCT account, age >= 0 AS later, unnest(sessions) AS digest FROM days) GROUP BY account
)
SELECT x.variant, x.day AS exposed_on, coalesce(x.placement, '') AS placement,
    {", ".join(f"coalesce({name}, 0)::DOUBLE AS {name}" for name in _ALL)}
FROM exposed x LEFT JOIN sums USING (account)
LEFT JOIN active USING (account) LEFT JOIN visits USING (account)
WHERE NOT x.crossed AND x.day + $window <= $today
ORDER BY x.exposed_at, x.account
"""


@dataclass(frozen=True, slots=True)
class UserTable:
    """Users whose outcome window is complete, in the order of exposure.

    `variant` and `placement` (n_users,) strings; `exposed_on` int64 (n_users,) days since 1970; `columns` float64
    (n_users,) each: those of `COLUMNS`, and their covariates.
    """

    variant: NDArray[np.object_]
    placement: NDArray[np.object_]
    exposed_on: Int64
    columns: dict[str, Float64]

    def __len__(self) -> int:
        return len(self.variant)

    def of(self, rows: NDArray[np.bool_]) -> UserTable:
        """Those users only."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return UserTable(self.variant[rows], self.placement[rows], self.exposed_on[rows], columns)


@dataclass(frozen=True, slots=True)
class Activity:
    """The days on which exposed users were active: with an event other than an impression.

    `variant` (n_users,) and `first` int64 (n_users,) the day of exposure; `user` and `day` int64 (n_active,) one entry
    for each user, as a row of the former, and day.
    """

    variant: NDArray[np.object_]
    first: Int64
    user: Int64
    day: Int64


def prepare_activity(connection: DuckDBPyConnection, key: str, phase: int) -> None:
    """Makes the tables `activity` (a row per user id, account and day) and `first_days` of the users in `exposed`."""
    connection.execute(_ACTIVITY)
    connection.execute(_FIRST_DAYS, [key, phase])


def prepare_recent(connection: DuckDBPyConnection, days: int, today: int) -> None:
    """Makes the same tables, and `exposed`, as if everybody who was shown something in the last `days` before `today`
    had been exposed at the beginning of the first of them."""
    connection.execute(_RECENT, {"days": days, "today": today})
    connection.execute(_ACTIVITY)
    connection.execute("CREATE OR REPLACE TEMP TABLE first_days AS FROM activity WHERE day = ?", [today - days])


def read_users(connection: DuckDBPyConnection, window_days: int, today: int) -> UserTable:
    """The users whose `window_days`, the day of exposure included, were over before the day `today`."""
    found = connection.execute(_USERS, {"window": window_days, "today": today}).fetchnumpy()
    columns = {
        name: np.asarray(found[name], np.float64) for name in (*COLUMNS, *(f"before_{name}" for name in COLUMNS))
    }
    return UserTable(
        np.asarray(found["variant"], object),
        np.asarray(found["placement"], object),
        np.asarray(found["exposed_on"], np.int64),
        columns,
    )


def read_activity(connection: DuckDBPyConnection, today: int) -> Activity:
    """The activity of the users in `exposed`, on days before `today`, those before their exposure included."""
    people = connection.execute(
        "SELECT account, variant, day FROM exposed WHERE NOT crossed AND day < ? ORDER BY account", [today]
    ).fetchnumpy()
    active = connection.execute(
        """
        WITH people AS (
            SELECT account, row_number() OVER (ORDER BY account) - 1 AS number
            FROM exposed WHERE NOT crossed AND day < $today
        )
        SELECT DISTINCT p.number AS user, a.day FROM people p JOIN activity a USING (account)
        WHERE a.events > 0 AND a.day < $today ORDER BY ALL
        """,
        {"today": today},
    ).fetchnumpy()
    return Activity(
        np.asarray(people["variant"], object),
        np.asarray(people["day"], np.int64),
        np.asarray(active["user"], np.int64),
        np.asarray(active["day"], np.int64),
    )
