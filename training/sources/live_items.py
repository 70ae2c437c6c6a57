"""The items as the service knows them now: the snapshot that it keeps of their changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from recsvc.bundle.types import NO_TIME
from training.errors import DataInvalid
from training.sources.catalogue import ItemRecord


@dataclass(frozen=True, slots=True)
class LiveRecords:
    """The items that changed since anybody's catalogue was made: what is known of those that are there, and the ids of
    those that were deleted. Each stands in for all that another source says of the item."""

    present: dict[str, ItemRecord]
    deleted: frozenset[str] = frozenset()

    def over(self, records: list[ItemRecord]) -> list[ItemRecord]:
        """The records with these laid over them."""
        changed = self.present.keys() | self.deleted
        return [*(record for record in records if record.item_id not in changed), *self.present.values()]


def items_file(state_dir: Path) -> Path:
    """Where the service keeps them."""
    return state_dir / "live" / "items.jsonl"


def read_live_items(state_dir: Path) -> LiveRecords:
    """The items of a state directory; none where there is no file. Raises DataInvalid naming a line that is wrong."""
    file = items_file(state_dir)
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return LiveRecords({})
    present: dict[str, ItemRecord] = {}
    deleted: set[str] = set()
    for number, line in enumerate(lines, start=1):
        try:
            raw = orjson.loads(line)
            item_id = str(raw["item_id"])
            if raw.get("deleted"):
                deleted.add(item_id)
            else:
                present[item_id] = _record(item_id, raw)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataInvalid(f"{file}, line {number} is not an item ({exc}); start the service to restore it") from exc
    return LiveRecords(present, frozenset(deleted))


def _record(item_id: str, raw: dict[str, Any]) -> ItemRecord:
    published_at = raw.get("published_at")
    return ItemRecord(
        item_id=item_id,
        title=raw.get("title") or "",
        creator=raw.get("creator") or "",
        categories=tuple(raw.get("categories") or ()),
        published_at=NO_TIME if published_at is None or not math.isfinite(published_at) else int(published_at),
        attributes=dict(raw.get("attributes") or {}),
    )
