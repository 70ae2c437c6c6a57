"""The items that changed since any bundle was made, as this process knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Attribute = str | float | bool


@dataclass(frozen=True, slots=True)
class LiveItem:
    """The whole of one item as it is now; it stands in for what a bundle says of it. Times are Unix seconds.

    Not recommended while `hidden`, once `deleted`, before `published_at`, from `expires_at` on. `quality` 0 to 1 scales
    its scores. "" and () where nothing is known.
    """

    item_id: str
    title: str = ""
    creator: str = ""
    categories: tuple[str, ...] = ()
    published_at: float | None = None
    expires_at: float | None = None
    hidden: bool = False
    deleted: bool = False
    quality: float = 1.0
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    updated_at: float = 0.0

    def shown_at(self, now: float) -> bool:
        """Whether it may be recommended at that moment (Unix seconds)."""
        if self.hidden or self.deleted or (self.published_at is not None and now < self.published_at):
            return False
        return self.expires_at is None or now < self.expires_at


class LiveItems:
    """By item id, with a version that grows with every change, so that what is derived from it can follow.

    For use from one event loop; readers in threads see each item whole.
    """

    def __init__(self) -> None:
        self._items: dict[str, LiveItem] = {}
        self._journal: list[str] = []
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[LiveItem]:
        return iter(tuple(self._items.values()))

    @property
    def version(self) -> int:
        """How many changes there were."""
        return self._forgotten + len(self._journal)

    def get(self, item_id: str) -> LiveItem | None:
        """The item, or None when it did not change since any bundle."""
        return self._items.get(item_id)

    def put(self, item: LiveItem) -> None:
        """Takes a change."""
        self._items[item.item_id] = item
        self._journal.append(item.item_id)
        if len(self._journal) > 4 * len(self._items) + 10_000:
            forgotten = len(self._journal) // 2
            del self._journal[:forgotten]
            self._forgotten += forgotten

    def changed_since(self, version: int) -> list[str]:
        """The ids that changed after `version`, each once, in the order of their first change; all for a version long
        past."""
        if version < self._forgotten:
            return list(self._items)
        return list(dict.fromkeys(self._journal[version - self._forgotten :]))
