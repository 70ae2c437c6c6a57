"""What is counted of a user's events: SQL that the first aggregation and every later one share."""

from __future__ import annotations

from typing import Final

_POSITIVE: Final = "type IN ('like', 'comment', 'share', 'follow', 'save', 'finish')"
_COMPLETED: Final = "type IN ('view', 'finish') AND value BETWEEN 0 AND 1"

COUNTS: Final[dict[str, str]] = {
    "events": "count(*) FILTER (WHERE type <> 'impression')",
    "impressions": "count(*) FILTER (WHERE type = 'impression' AND valid)",
    "clicks": "count(*) FILTER (WHERE type = 'view' AND valid)",
    "views": "count(*) FILTER (WHERE type = 'view')",
    "positives": f"count(*) FILTER (WHERE {_POSITIVE})",
    "completion": f"coalesce(sum(value) FILTER (WHERE {_COMPLETED}), 0)",
    "completions": f"count(*) FILTER (WHERE {_COMPLETED})",
    "hides": "count(*) FILTER (WHERE type IN ('skip', 'not_interested'))",
    "reports": "count(*) FILTER (WHERE type = 'report')",
    "unsubscribes": "count(*) FILTER (WHERE type = 'unsubscribe')",
    "survey": "coalesce(sum(value) FILTER (WHERE type = 'survey'), 0)",
    "surveys": "count(*) FILTER (WHERE type = 'survey' AND value IS NOT NULL)",
}
"""Column → its aggregate over events. Sums of two aggregates are the aggregate of both parts. `valid`: the event
brought a valid token, so it concerns an item that was recommended."""

SESSIONS: Final = "list(DISTINCT md5_number_lower(session_id)) FILTER (WHERE session_id IS NOT NULL)"
"""Sessions are told apart over aggregates by a 64-bit digest of their id."""

_SESSIONS_OF_PARTS: Final = "list_distinct(flatten(list(coalesce(sessions, []))))"

FIRST_AGGREGATE: Final = ", ".join([*(f"{sql} AS {name}" for name, sql in COUNTS.items()), f"{SESSIONS} AS sessions"])
"""Columns of an aggregate over events."""

SUM_OF_AGGREGATES: Final = ", ".join(
    [*(f"sum({name})::DOUBLE AS {name}" for name in COUNTS), f"{_SESSIONS_OF_PARTS} AS sessions"]
)
"""The same columns over aggregates."""
