"""What changing the catalogue raises."""

from __future__ import annotations


class CatalogueFull(Exception):  # noqa: N818
    """There are as many items with a record of their own as there may be; those that have one can still be changed."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"there are {most} items with changes already, and no room for another; "
            "items that have a record, deleted ones included, can still be changed"
        )


class ItemBusy(Exception):  # noqa: N818
    """Others kept changing the item while it was being changed; the change was not made."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"item {item_id!r} is being changed by others at the same time; send the change again")
