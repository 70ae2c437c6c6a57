"""A live item as JSON: one object, the same in Redis and in a line of `<state directory>/live/items.jsonl`."""

from __future__ import annotations

from typing import Any

import orjson

from recsvc.catalog.live import Attribute, LiveItem


def to_json(item: LiveItem) -> bytes:
    """All fields of the item; times are Unix seconds."""
    return orjson.dumps(
        {
            "item_id": item.item_id,
            "title": item.title,
            "creator": item.creator,
            "categories": item.categories,
            "published_at": item.published_at,
            "expires_at": item.expires_at,
            "hidden": item.hidden,
            "deleted": item.deleted,
            "quality": item.quality,
            "attributes": dict(item.attributes),
            "updated_at": item.updated_at,
        },
        option=orjson.OPT_SORT_KEYS,
    )


def from_json(text: bytes | str) -> LiveItem:
    """The item of such an object; a field that is not there has its default. Raises ValueError saying what is wrong."""
    raw: Any = orjson.loads(text)
    if not isinstance(raw, dict) or not isinstance(raw.get("item_id"), str):
        raise ValueError("it is not a JSON object with an item_id")  # noqa: TRY004 - so that callers catch one kind
    try:
        return LiveItem(
            item_id=raw["item_id"],
            title=str(raw.get("title") or ""),
            creator=str(raw.get("creator") or ""),
            categories=tuple(str(category) for category in raw.get("categories") or ()),
            published_at=_time(raw.get("published_at")),
            expires_at=_time(raw.get("expires_at")),
            hidden=bool(raw.get("hidden", False)),
            deleted=bool(raw.get("deleted", False)),
            quality=float(raw.get("quality", 1.0)),
            attributes={name: _attribute(value) for name, value in (raw.get("attributes") or {}).items()},
            updated_at=float(raw.get("updated_at") or 0.0),
        )
    except (TypeError, AttributeError) as exc:
        raise ValueError(f"item {raw['item_id']!r} has a field of the wrong type ({exc})") from exc


def _time(value: Any) -> float | None:
    return None if value is None else float(value)


def _attribute(value: Any) -> Attribute:
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"an attribute is {type(value).__name__}")
    return value
