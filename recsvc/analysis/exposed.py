"""Who was exposed to what: the users of an experiment, by the first list of it that each was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from duckdb import DuckDBPyConnection

from recsvc.analysis.definition import Definition, period_of

_ACCOUNTS: Final = """
CREATE OR REPLACE TEMP TABLE accounts AS
WITH RECURSIVE steps AS (
    SELECT user_id, account, 1 AS depth FROM merges
    UNION ALL
    SELECT s.user_id, m.account, s.depth + 1 FROM steps s JOIN merges m ON m.user_id = s.account
    WHERE s.depth < 64 AND m.account <> s.user_id
)
SELECT user_id, arg_max(account, depth) AS account FROM steps GROUP BY user_id
"""
"""Whom a user became, over as many merges as there were."""

_EXPOSED: Final = """
CREATE OR REPLACE TEMP TABLE exposed AS
SELECT coalesce(a.account, x.user_id) AS account, arg_min(x.first.variant, (x.first.at, x.user_id)) AS variant,
    min(x.first.at) AS exposed_at, min(x.first.day) AS day, arg_min(x.first.placement, x.first.at) AS placement,
    len(list_distinct(flatten(list(x.variants)))) > 1 AS crossed,
    sum(x.shown)::BIGINT AS shown, sum(x.fallbacks)::BIGINT AS fallbacks
FROM exposures x LEFT JOIN accounts a ON a.user_id = x.user_id
WHERE x.experiment = ? AND x.phase = ? AND x.first.at >= ? AND x.first.at < ?
GROUP BY 1
"""

_COUNTED: Final = """
SELECT count(*), count(*) FILTER (WHERE crossed), coalesce(sum(shown), 0), coalesce(sum(fallbacks), 0) FROM exposed
"""
_FORCED: Final = "SELECT count(*) FROM exposures WHERE experiment = ? AND phase = ? AND first IS NULL"
_EXPORT: Final = """
SELECT account AS user_id, variant, make_timestamptz(exposed_at) AS exposed_at, placement,
    crossed AS seen_in_several_variants, shown AS impressions, fallbacks AS fallback_impressions
FROM exposed ORDER BY account
"""


@dataclass(frozen=True, slots=True)
class Exposed:
    """How many accounts were exposed. `by_variant` those that the analysis takes; `crossed` were seen in several
    variants and are left out; `forced` only ever saw a variant that was forced. Of the `impressions` shown, `fallbacks`
    were not what the variant asked for: they stay in, for users are compared as they were assigned.
    """

    by_variant: dict[str, int]
    by_day: list[tuple[int, str, int]]
    crossed: int
    forced: int
    impressions: int
    fallbacks: int

    @property
    def users(self) -> int:
        """All that the analysis takes."""
        return sum(self.by_variant.values())


def find_accounts(connection: DuckDBPyConnection) -> None:
    """Makes the table `accounts`: merged user ids and what they became. Reads `merges`."""
    connection.execute(_ACCOUNTS)


def find_exposed(connection: DuckDBPyConnection, definition: Definition) -> Exposed:
    """Makes the table `exposed`, a row per account, and counts it. Reads `exposures` and `merges`.

    `by_day` (day since 1970, variant, accounts first exposed on it), ascending.
    """
    period = period_of(definition)
    find_accounts(connection)
    connection.execute(_EXPOSED, [definition.key, definition.phase, period.first, period.last])
    _, crossed, impressions, fallbacks = _row(connection, _COUNTED)
    (forced,) = _row(connection, _FORCED, [definition.key, definition.phase])
    by_day = connection.execute(
        "SELECT day, variant, count(*) FROM exposed WHERE NOT crossed GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    by_variant: dict[str, int] = {variant.name: 0 for variant in definition.variants}
    for _, variant, users in by_day:
        by_variant[variant] = by_variant.get(variant, 0) + users
    return Exposed(by_variant, by_day, crossed, forced, impressions, fallbacks)


def exposures_table(connection: DuckDBPyConnection) -> pa.Table:
    """The accounts of `exposed`, for analyses elsewhere."""
    return connection.sql(_EXPORT).to_arrow_table()


def _row(connection: DuckDBPyConnection, query: str, values: list[object] | None = None) -> tuple[int, ...]:
    row = connection.execute(query, values or []).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return tuple(int(value) for value in row)
