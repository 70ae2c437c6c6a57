"""Loads a test's own file with the limits that most tests want."""

from __future__ import annotations

import csv
from pathlib import Path

from training.sources.dataset import Dataset
from training.sources.load import load


def read(
    source: Path | str,
    rejects: Path,
    *,
    columns: dict[str, str] | None = None,
    catalogue: Path | None = None,
    share: float = 0.5,
    data_dir: Path = Path("no-such-data-dir"),
) -> Dataset:
    """`load` with half of the rows allowed to be bad; rejects go to the folder `rejects`."""
    return load(
        str(source),
        data_dir=data_dir,
        columns=columns or {},
        catalogue=catalogue,
        max_reject_share=share,
        rejects_path=rejects / "rejects.csv",
    )


def reject_rows(rejects: Path) -> list[list[str]]:
    """The rejects file without its header, which is checked."""
    with (rejects / "rejects.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["line", "reason", "raw"]
    return rows[1:]


def triples(dataset: Dataset) -> list[tuple[str, str, int]]:
    """(user id, item id, type code) of every event, in order."""
    events = dataset.events
    return [
        (events.user_ids[user], events.item_ids[item], int(kind))
        for user, item, kind in zip(events.users, events.items, events.types, strict=True)
    ]
