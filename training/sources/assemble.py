"""Checked events and what is known of their items, put together as a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from training.sources.catalogue import ItemRecord, item_columns
from training.sources.check import Checked
from training.sources.dataset import Dataset, Events
from training.sources.ids import recode


def assemble(name: str, fingerprint: str, checked: Checked, records: Sequence[ItemRecord]) -> Dataset:
    """The dataset of the checked rows; the items are those of the events and those of the records."""
    users, user_ids = recode(checked.users, checked.user_labels)
    items, item_ids = recode(checked.items, checked.item_labels, [record.item_id for record in records])
    events = Events(
        user_ids=user_ids,
        item_ids=item_ids,
        users=users,
        items=items,
        types=checked.types,
        timestamps=checked.timestamps,
        values=checked.values,
    )
    return Dataset(name, fingerprint, events, item_columns(item_ids, records), checked.rejects)
