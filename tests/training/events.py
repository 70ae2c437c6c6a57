"""Small event tables for the pipeline's tests."""

from __future__ import annotations

import numpy as np

from recsvc.bundle.types import NO_TIME
from recsvc.events.schema import TYPE_CODES
from training.sources.dataset import Dataset, Events, ItemColumns, Rejects

DAY = 86_400.0
START = 1_790_000_000.0

Row = tuple[str, str, str, float | None, float | None]
"""user id, item id, type, day (None: no time), value (None: none)"""


def make_events(rows: list[Row]) -> Events:
    """The rows as columns; ids sorted by their bytes."""
    users = sorted({row[0] for row in rows}, key=str.encode)
    items = sorted({row[1] for row in rows}, key=str.encode)
    return Events(
        user_ids=users,
        item_ids=items,
        users=np.array([users.index(row[0]) for row in rows], np.int32),
        items=np.array([items.index(row[1]) for row in rows], np.int32),
        types=np.array([TYPE_CODES[row[2]] for row in rows], np.int8),
        timestamps=np.array([np.nan if row[3] is None else START + row[3] * DAY for row in rows]),
        values=np.array([np.nan if row[4] is None else row[4] for row in rows], np.float32),
    )


def make_dataset(rows: list[Row], *, given_test: list[bool] | None = None) -> Dataset:
    """A data set without a catalogue."""
    events = make_events(rows)
    n = len(events.item_ids)
    return Dataset(
        name="built",
        fingerprint="0" * 64,
        events=events,
        items=ItemColumns([""] * n, [""] * n, [[] for _ in range(n)], np.full(n, NO_TIME), [{} for _ in range(n)]),
        rejects=Rejects(),
        given_test=None if given_test is None else np.array(given_test),
    )
