"""The aggregates: their tables, how each is made from events, and how those of several parts are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection

from recsvc.analysis.counters import COUNTS, FIRST_AGGREGATE, SUM_OF_AGGREGATES

_SLOT_COUNTS: Final = ("impressions", "clicks", "positives", "hides")
_SLOTS: Final = ", ".join(f"{COUNTS[name]} AS {name}" for name in _SLOT_COUNTS)
_SLOT_SUMS: Final = ", ".join(f"sum({name})::BIGINT AS {name}" for name in _SLOT_COUNTS)


@dataclass(frozen=True, slots=True)
class AggregateTable:
    """`keys` name a row; `first` is the query over the view `news`, `columns` what the rows of several parts become.

    Rows of a table that is `summed` are left apart until parts are put together: who reads them sums anyway, and
    grouping millions of rows for each report is what would take the time.
    """

    name: str
    keys: str
    columns: str
    first: str
    summed: bool = True


_ASSIGNED: Final = "(SELECT *, unnest(experiments) AS e FROM news WHERE experiments IS NOT NULL AND valid)"

TABLES: Final = (
    # The first impression that counts, in the order of the log. `first` is NULL while all were forced.
    AggregateTable(
        "exposures",
        "partition, experiment, phase, user_id",
        "arg_min(first, (first.ms, first.seq)) AS first, list_distinct(flatten(list(variants))) AS variants, "
        "sum(forced)::BIGINT AS forced, sum(shown)::BIGINT AS shown, sum(fallbacks)::BIGINT AS fallbacks",
        f"""
        SELECT partition, e.experiment AS experiment, e.phase AS phase, user_id,
            arg_min({{'variant': e.variant, 'at': happened, 'day': day, 'ms': ms, 'seq': seq, 'placement': placement,
                      'fallback': coalesce(e.fallback, false)}}, (ms, seq))
                FILTER (WHERE NOT coalesce(e.forced, false)) AS first,
            coalesce(list(DISTINCT e.variant) FILTER (WHERE NOT coalesce(e.forced, false)), []) AS variants,
            count(*) FILTER (WHERE e.forced) AS forced,
            count(*) FILTER (WHERE NOT coalesce(e.forced, false)) AS shown,
            count(*) FILTER (WHERE e.fallback AND NOT coalesce(e.forced, false)) AS fallbacks
        FROM {_ASSIGNED} WHERE type = 'impression' GROUP BY ALL
        """,
        summed=False,
    ),
    # What the user did on the day of exposure from the exposure on; later days are in `daily`.
    AggregateTable(
        "first_day",
        "partition, experiment, phase, user_id",
        SUM_OF_AGGREGATES,
        f"""
        SELECT n.partition, x.experiment, x.phase, n.user_id, {FIRST_AGGREGATE}
        FROM news n JOIN exposures x USING (partition, user_id)
        WHERE n.type <> 'merge' AND n.day = x.first.day AND (n.ms, n.seq) >= (x.first.ms, x.first.seq)
        GROUP BY ALL
        """,
    ),
    AggregateTable(
        "daily",
        "partition, user_id, day",
        SUM_OF_AGGREGATES,
        f"SELECT partition, user_id, day, {FIRST_AGGREGATE} FROM news WHERE type <> 'merge' GROUP BY ALL",
    ),
    AggregateTable(
        "merges",
        "partition, user_id",
        "arg_max(account, ms) AS account, max(ms) AS ms",
        """
        SELECT partition, user_id, arg_max(target_id, ms) AS account, max(ms) AS ms
        FROM news WHERE type = 'merge' AND target_id IS NOT NULL GROUP BY ALL
        """,
        summed=False,
    ),
    AggregateTable(
        "slots",
        "partition, experiment, phase, variant, placement, position, source",
        _SLOT_SUMS,
        f"""
        SELECT partition, e.experiment AS experiment, e.phase AS phase, e.variant AS variant, placement,
            position, source, {_SLOTS}
        FROM {_ASSIGNED} WHERE NOT coalesce(e.forced, false) GROUP BY ALL
        """,
    ),
    AggregateTable(
        "teams",
        "partition, experiment, phase, user_id, team",
        _SLOT_SUMS,
        f"""
        SELECT partition, e.experiment AS experiment, e.phase AS phase, user_id, team, {_SLOTS}
        FROM {_ASSIGNED} WHERE team IS NOT NULL AND NOT coalesce(e.forced, false) GROUP BY ALL
        """,
    ),
)
"""`exposures` first: `first_day` reads it."""


def open_tables(connection: DuckDBPyConnection, parts: Sequence[Path]) -> None:
    """Makes every table a view over its files in `parts`, of which there must be one at least."""
    for table in TABLES:
        open_table(connection, table, parts)


def open_table(connection: DuckDBPyConnection, table: AggregateTable, parts: Sequence[Path]) -> None:
    """Makes one table a view over its files in `parts`."""
    files = ", ".join(quoted(part / f"{table.name}.parquet") for part in parts)
    query = f"SELECT * FROM read_parquet([{files}])"
    if not table.summed and len(parts) > 1:  # the rows of one part are whole already
        query = grouped(table, f"({query})")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {table.name} AS {query}")


def grouped(table: AggregateTable, rows: str) -> str:
    """The query that puts rows of several parts together, one for each of the keys."""
    return f"SELECT {table.keys}, {table.columns} FROM {rows} GROUP BY {table.keys}"


def write_table(connection: DuckDBPyConnection, query: str, file: Path) -> None:
    """Writes the rows of a query as Parquet."""
    connection.execute(f"COPY ({query}) TO {quoted(file)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")


def quoted(path: Path) -> str:
    """A path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"
