"""Erased users leave the data before anything is made of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import NO_TIME, Bool
from recsvc.eventlog.tombstones import Tombstones, read_tombstones
from training.errors import DataInvalid
from training.sources.dataset import Candidates, Dataset, Events, ItemColumns

_SETTLED_SECONDS: Final = 86_400.0


def tombstones_of(state_dir: Path | None) -> Tombstones:
    """The erasures that the service recorded in its state directory. Raises DataInvalid for a damaged record."""
    try:
        return Tombstones() if state_dir is None else read_tombstones(state_dir)
    except ValueError as exc:
        raise DataInvalid(str(exc)) from exc


def applied_at(tombstones: Tombstones) -> float:
    """What the manifest records of them (`erasures_applied_at`).

    `Tombstones.applied_at`, or the latest erasure itself once it lies a day back, when none before it can still be on
    its way: then a user of that id who came back is a new one for good.
    """
    latest = max((tombstone.erased_at for tombstone in tombstones), default=0.0)
    return latest if 0 < latest < time.time() - _SETTLED_SECONDS else tombstones.applied_at


def without_erased(dataset: Dataset, tombstones: Tombstones) -> Dataset:
    """The data without the events of erased users up to the moment of their erasure: all of them where it has no
    times. Items that only those events mentioned, and of which nothing else is known, go too."""
    events = dataset.events
    if not len(tombstones):
        return replace(dataset, erasures_applied_at=applied_at(tombstones))
    until = np.full(len(events.user_ids), -np.inf)
    for row, user_id in enumerate(events.user_ids):
        tombstone = tombstones.of(user_id)
        if tombstone is not None:
            until[row] = tombstone.erased_at
    # A time that is not known is not known to be later.
    kept = ~(np.isfinite(until[events.users]) & ~(events.timestamps > until[events.users]))
    applied = replace(dataset, erasures_applied_at=applied_at(tombstones))
    return applied if kept.all() else _only(applied, kept)


def _only(dataset: Dataset, kept: Bool) -> Dataset:
    events, columns = dataset.events, dataset.items
    user_stays = _occurs(events.users[kept], len(events.user_ids))
    mentioned, still = (_occurs(items, len(events.item_ids)) for items in (events.items, events.items[kept]))
    item_stays = still | ~mentioned | _known(columns)
    new_user, new_item = _renumbered(user_stays), _renumbered(item_stays)
    return replace(
        dataset,
        events=Events(
            user_ids=_picked(events.user_ids, user_stays),
            item_ids=_picked(events.item_ids, item_stays),
            users=new_user[events.users[kept]],
            items=new_item[events.items[kept]],
            types=events.types[kept],
            timestamps=events.timestamps[kept],
            values=events.values[kept],
        ),
        items=ItemColumns(
            titles=_picked(columns.titles, item_stays),
            creators=_picked(columns.creators, item_stays),
            categories=_picked(columns.categories, item_stays),
            published_at=columns.published_at[item_stays],
            attributes=_picked(columns.attributes, item_stays),
        ),
        given_test=None if dataset.given_test is None else dataset.given_test[kept],
        candidates=_candidates(dataset.candidates, user_stays, item_stays, new_user, new_item),
        erased=int((~kept).sum()),
    )


def _candidates(
    candidates: Candidates | None,
    user_stays: Bool,
    item_stays: Bool,
    new_user: npt.NDArray[np.int32],
    new_item: npt.NDArray[np.int32],
) -> Candidates | None:
    if candidates is None:
        return None
    rows = user_stays[candidates.users] & item_stays[candidates.items].all(axis=1)
    return Candidates(new_user[candidates.users[rows]], new_item[candidates.items[rows]])


def _occurs(rows: npt.NDArray[np.int32], count: int) -> Bool:
    there: Bool = np.bincount(rows, minlength=count) > 0
    return there


def _known(columns: ItemColumns) -> Bool:
    rows = zip(
        columns.titles, columns.creators, columns.categories, columns.published_at, columns.attributes, strict=True
    )
    return np.array([bool(t or c or k or p != NO_TIME or a) for t, c, k, p, a in rows], dtype=np.bool_)


def _renumbered(stays: Bool) -> npt.NDArray[np.int32]:
    return (np.cumsum(stays) - 1).astype(np.int32)


def _picked(values: Sequence[Any], stays: Bool) -> list[Any]:
    return [values[row] for row in np.flatnonzero(stays).tolist()]
