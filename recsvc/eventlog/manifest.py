"""A partition's manifest: the segments that stand for what was compacted, and where the tail of small files begins."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recsvc.bundle.files import replace_file
from recsvc.eventlog.position import BEGINNING, StreamId

MANIFEST_NAME: Final = "manifest.json"
_FORMAT: Final = 1


class LogDamaged(Exception):  # noqa: N818
    """The files of a partition do not make up a log; the message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A compacted file: the rows with stream ids after `after`, up to and with `last`."""

    name: str
    after: StreamId
    last: StreamId
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Retired:
    """A file whose rows are in a segment by now; kept from `at` (Unix seconds) on for those who still read it."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class LogManifest:
    """`generation` counts the versions; `erasures` stands for the tombstones that every segment was cleared of."""

    generation: int = 0
    segments: tuple[Segment, ...] = ()
    retired: tuple[Retired, ...] = ()
    erasures: str = ""

    @property
    def tail(self) -> StreamId:
        """Where the small files begin; one that is named below it is none of the log."""
        return self.segments[-1].last if self.segments else BEGINNING


def read_manifest(directory: Path) -> LogManifest:
    """The manifest of a partition's directory; an empty one where there is none. Raises `LogDamaged`."""
    file = directory / MANIFEST_NAME
    try:
        raw: Any = json.loads(file.read_bytes())
    except FileNotFoundError:
        return LogManifest()
    except (OSError, ValueError) as exc:
        raise LogDamaged(f"{file} cannot be read ({exc}); restore it from a back-up") from exc
    try:
        return _parse(raw)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        raise LogDamaged(f"{file} is not a manifest of format {_FORMAT} ({exc}); restore it from a back-up") from exc


def write_manifest(directory: Path, manifest: LogManifest) -> None:
    """Replaces the manifest, flushed to disk."""
    document = dataclasses.asdict(manifest) | {"format": _FORMAT, "tail": str(manifest.tail)}
    document["segments"] = [
        dataclasses.asdict(segment) | {"after": str(segment.after), "last": str(segment.last)}
        for segment in manifest.segments
    ]
    replace_file(directory / MANIFEST_NAME, json.dumps(document, indent=1, sort_keys=True).encode("ascii") + b"\n")


def _parse(raw: Any) -> LogManifest:
    if raw["format"] != _FORMAT:
        raise ValueError(f"its format is {raw['format']!r}")
    segments: list[Segment] = []
    for entry in raw["segments"]:
        ends = {"after": StreamId.parse(entry["after"]), "last": StreamId.parse(entry["last"])}
        segments.append(Segment(**(entry | ends)))
        if segments[-1].after != (segments[-2].last if len(segments) > 1 else BEGINNING):
            raise ValueError(f"segment {segments[-1].name} does not begin where the one before it ends")
    manifest = LogManifest(
        generation=int(raw["generation"]),
        segments=tuple(segments),
        retired=tuple(Retired(**entry) for entry in raw["retired"]),
        erasures=str(raw["erasures"]),
    )
    if str(manifest.tail) != raw["tail"]:
        raise ValueError("its tail does not begin where the last segment ends")
    return manifest
