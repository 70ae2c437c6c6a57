"""Up to where the aggregates were made, and of which files they consist."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recsvc.bundle.files import replace_file
from recsvc.eventlog.position import StreamId

FORMAT: Final = 1
"""Raised whenever the aggregates count something else: older ones are then made anew."""

_NAME: Final = "position.json"


@dataclass(frozen=True, slots=True)
class Position:
    """`ends` the last stream id counted of each partition; `parts` directories of aggregates, oldest first; `erased`
    the tombstones that were applied, digest → up to where; `log_id` the log's own name; `number` that of the next part.
    """

    log_id: str = ""
    ends: dict[int, StreamId] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    erased: dict[str, str] = field(default_factory=dict)
    number: int = 1


def read_position(directory: Path) -> Position:
    """The position of a directory of aggregates; the beginning where there is none, or one of another format."""
    try:
        raw: Any = json.loads((directory / _NAME).read_bytes())
    except (FileNotFoundError, ValueError):
        return Position()
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        return Position()
    try:
        ends = {int(partition): StreamId.parse(end) for partition, end in raw["ends"].items()}
        return Position(raw["log_id"], ends, tuple(raw["parts"]), dict(raw["erased"]), int(raw["number"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return Position()  # somebody changed it: all is counted anew


def write_position(directory: Path, position: Position) -> None:
    """Replaces the position: from here on the parts it names are the aggregates."""
    document = {
        "format": FORMAT,
        "log_id": position.log_id,
        "ends": {str(partition): str(end) for partition, end in sorted(position.ends.items())},
        "parts": list(position.parts),
        "erased": position.erased,
        "number": position.number,
    }
    replace_file(directory / _NAME, json.dumps(document).encode())
