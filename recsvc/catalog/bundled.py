"""What a bundle says of an item, in the form of a live one."""

from __future__ import annotations

from recsvc.bundle.types import NO_TIME, Bundle, ItemRow
from recsvc.catalog.live import LiveItem


def bundled_item(bundle: Bundle, item_id: str) -> LiveItem | None:
    """The bundle's record of the item, or None for one it does not know. `updated_at` is 0: no change was made."""
    found = bundle.items.row_of(item_id)
    if found is None:
        return None
    row, catalogue = ItemRow(found), bundle.catalogue
    published = int(catalogue.published_at[row])
    return LiveItem(
        item_id=item_id,
        title=catalogue.title(row) or "",
        creator=catalogue.creator(row) or "",
        categories=tuple(catalogue.categories_of(row)),
        published_at=None if published == NO_TIME else float(published),
    )
