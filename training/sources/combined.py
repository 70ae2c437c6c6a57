"""Two sources as one: what somebody had before, and the event log that has come since."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from recsvc.bundle.types import Int32
from training.sources.catalogue import ItemRecord, item_columns
from training.sources.dataset import Candidates, Dataset, Events, Rejects
from training.sources.ids import byte_order
from training.sources.live_items import LiveRecords


def join(base: Dataset, log: Dataset, live: LiveRecords) -> Dataset:
    """Both data sets' events, base's first, over their united ids.

    The catalogue is base's with the live items laid over it. A published test part stays what it is: the log's events
    are none of it.
    """
    user_ids, (base_users, log_users) = _united(base.events.user_ids, log.events.user_ids)
    item_ids, (base_items, log_items) = _united(base.events.item_ids, log.events.item_ids)
    first, second = base.events, log.events
    events = Events(
        user_ids=user_ids,
        item_ids=item_ids,
        users=np.concatenate([base_users[first.users], log_users[second.users]]),
        items=np.concatenate([base_items[first.items], log_items[second.items]]),
        types=np.concatenate([first.types, second.types]),
        timestamps=np.concatenate([first.timestamps, second.timestamps]),
        values=np.concatenate([first.values, second.values]),
    )
    given = base.given_test
    candidates = base.candidates
    return Dataset(
        name=f"{base.name} + log",
        fingerprint=hashlib.sha256(f"{base.fingerprint}+{log.fingerprint}".encode()).hexdigest(),
        events=events,
        items=item_columns(item_ids, live.over(_records(base))),
        rejects=_both(base.rejects, log.rejects),
        given_test=None if given is None else np.concatenate([given, np.zeros(len(second), dtype=np.bool_)]),
        candidates=None
        if candidates is None
        else Candidates(base_users[candidates.users], base_items[candidates.items]),
        log_ends=log.log_ends,
        log_events=len(second),
        erasures_applied_at=log.erasures_applied_at,
        erased=base.erased + log.erased,
    )


def _united(first: list[str], second: list[str]) -> tuple[list[str], tuple[Int32, Int32]]:
    """The ids of both, sorted by their bytes, and the new row of each old one."""
    names = list(dict.fromkeys([*first, *second]))
    ids = [names[place] for place in byte_order(names).tolist()]
    row_of = {name: row for row, name in enumerate(ids)}
    rows = tuple(np.fromiter((row_of[name] for name in old), dtype=np.int32, count=len(old)) for old in (first, second))
    return ids, (rows[0], rows[1])


def _records(dataset: Dataset) -> list[ItemRecord]:
    columns = dataset.items
    return [
        ItemRecord(item_id, title, creator, tuple(categories), int(published_at), attributes)
        for item_id, title, creator, categories, published_at, attributes in zip(
            dataset.events.item_ids,
            columns.titles,
            columns.creators,
            columns.categories,
            columns.published_at.tolist(),
            columns.attributes,
            strict=True,
        )
    ]


def _both(first: Rejects, second: Rejects) -> Rejects:
    paths = [rejects.path for rejects in (first, second) if rejects.path is not None]
    return Rejects(
        total=first.total + second.total,
        by_reason=dict(Counter(first.by_reason) + Counter(second.by_reason)),
        path=" and ".join(paths) or None,
    )
