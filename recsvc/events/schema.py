"""The event vocabulary that the service and the offline pipeline share."""

from __future__ import annotations

from typing import Final

EVENT_TYPES: Final[tuple[str, ...]] = (
    "impression",
    "view",
    "like",
    "comment",
    "share",
    "follow",
    "save",
    "finish",
    "skip",
    "not_interested",
    "report",
    "unsubscribe",
    "survey",
)
"""Closed list; an event's type code is its position here, so new types are appended, never inserted."""

TYPE_CODES: Final[dict[str, int]] = {name: code for code, name in enumerate(EVENT_TYPES)}

MAX_ID_CHARACTERS: Final = 128


def id_problem(value: str) -> str | None:
    """Says what is wrong with a user or item id, or None: 1-128 characters, none a control character."""
    if not value:
        return "is empty"
    if len(value) > MAX_ID_CHARACTERS:
        return f"has {len(value)} characters, more than {MAX_ID_CHARACTERS}"
    if not value.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        return "contains a control character"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode (a lone surrogate)"
    return None
