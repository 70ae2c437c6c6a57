"""What came of recommended items, by their place in the list and by the source that proposed them."""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Slot:
    """Events of a variant on items of one `label`: a position, or a source. Counts of events, not of users."""

    variant: str
    label: str
    impressions: int
    clicks: int
    positives: int
    hides: int

    @property
    def ctr(self) -> float:
        """Clicks per impression; 0 where nothing was shown."""
        return self.clicks / self.impressions if self.impressions else 0.0


def by_position(connection: DuckDBPyConnection, key: str, phase: int) -> list[Slot]:
    """By position in the list, from the top; events that name none are left out. Reads `slots`."""
    return _by("position", connection, key, phase)


def by_source(connection: DuckDBPyConnection, key: str, phase: int) -> list[Slot]:
    """By source, by name."""
    return _by("source", connection, key, phase)


def _by(column: str, connection: DuckDBPyConnection, key: str, phase: int) -> list[Slot]:
    rows = connection.execute(
        f"""
        SELECT variant, {column}, sum(impressions)::BIGINT, sum(clicks)::BIGINT, sum(positives)::BIGINT,
            sum(hides)::BIGINT
        FROM slots WHERE experiment = ? AND phase = ? AND {column} IS NOT NULL GROUP BY ALL ORDER BY {column}, variant
        """,
        [key, phase],
    ).fetchall()
    return [Slot(variant, str(label), *counts) for variant, label, *counts in rows]
