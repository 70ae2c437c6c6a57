"""The files under `<state directory>/live/` that stand in for Redis while it is away, shared by all processes.

`items.jsonl` has an item a line; `items.position.json` is written after it and says up to which change it reaches;
`erasures.jsonl` has a tombstone a line.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsvc.bundle.files import flush_directory, replace_file
from recsvc.catalog.item_json import from_json, to_json
from recsvc.catalog.live import LiveItem
from recsvc.eventlog.tombstones import FILE_NAME, Tombstones, write_tombstones
from recsvc.eventlog.tombstones import from_json as from_line
from recsvc.store.live_store import Position

logger = logging.getLogger(__name__)

ITEMS_NAME: Final = "items.jsonl"
POSITION_NAME: Final = "items.position.json"

_LINES: Final = 500
_PAUSE_SECONDS: Final = 0.0005
_SHORTEST_INTERVAL_SECONDS: Final = 1.0
_INTERVAL_FACTOR: Final = 20


@dataclass(frozen=True, slots=True)
class Saved:
    """What `items.position.json` says: the position, when it was written (Unix seconds) and how long that took."""

    position: Position
    saved_at: float
    took_seconds: float

    @property
    def due_at(self) -> float:
        """When the files may be written again (Unix seconds): writing is to take a small part of a core at most."""
        return self.saved_at + max(_SHORTEST_INTERVAL_SECONDS, _INTERVAL_FACTOR * self.took_seconds)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the files of the items held."""

    items: list[LiveItem]
    saved: Saved


@dataclass(frozen=True, slots=True)
class SavedErasures:
    """The tombstones that could be read, and whether these are all: False without the file, or when it is damaged."""

    tombstones: Tombstones
    whole: bool


def read_snapshot(state_dir: Path) -> Snapshot | None:
    """What the files of the items hold, or None when they are not both there. A damaged one is put aside and logged."""
    saved = read_saved(state_dir)
    if saved is None:
        return None
    file = state_dir / "live" / ITEMS_NAME
    try:
        with file.open("rb") as lines:
            items = [from_json(line) for line in lines]
    except FileNotFoundError:
        return None
    except ValueError as exc:
        _put_aside(file, exc)
        return None
    return Snapshot(items, saved)


def read_erasures(state_dir: Path) -> SavedErasures:
    """What `erasures.jsonl` holds. A line that is damaged is logged and takes none of the others with it."""
    file = state_dir / "live" / FILE_NAME
    found, whole = Tombstones(), True
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return SavedErasures(found, whole=False)
    for number, line in enumerate(lines, start=1):
        try:
            found.add(from_line(line))
        except (ValueError, KeyError, TypeError) as exc:
            logger.error("%s was damaged: line %d is not a tombstone (%s)", file, number, exc)  # noqa: TRY400
            whole = False
    return SavedErasures(found, whole)


def read_saved(state_dir: Path) -> Saved | None:
    """What `items.position.json` says, or None when there is none that can be read."""
    try:
        raw = json.loads((state_dir / "live" / POSITION_NAME).read_bytes())
        position = Position(int(raw["version"]), str(raw["mark"]))
        return Saved(position, float(raw["saved_at"]), float(raw["took_seconds"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        logger.warning("%s cannot be read (%s); it will be written anew", POSITION_NAME, exc)
        return None


def save_items(state_dir: Path, items: Sequence[LiveItem], position: Position, *, anyway: bool = False) -> bool:
    """Replaces `items.jsonl`, unless another process is at it or wrote a later one (or `anyway`).

    Says whether a file at `position` or later is there now. For a thread; it pauses often, so that the event loop
    beside it is not held up.
    """
    directory = state_dir / "live"
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / ".items.lock", wait=False) as mine:
        if not mine:
            return False
        before = read_saved(state_dir)
        if not anyway and before is not None and before.position.version >= position.version:
            return True
        began = time.monotonic()
        _write_lines(directory / ITEMS_NAME, items)
        saved = {
            "version": position.version,
            "mark": position.mark,
            "saved_at": time.time(),
            "took_seconds": round(time.monotonic() - began, 4),
        }
        replace_file(directory / POSITION_NAME, json.dumps(saved).encode("ascii"))
        return True


def save_erasures(state_dir: Path, erasures: Tombstones) -> None:
    """Sees to it that `erasures.jsonl` holds all of these, beside those it has. For a thread.

    Of a damaged file a copy is kept, and what can be read of it is taken over.
    """
    directory = state_dir / "live"
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory / ".erasures.lock", wait=True):
        file = directory / FILE_NAME
        saved = read_erasures(state_dir)
        known = saved.tombstones
        before = set(known)
        for tombstone in erasures:
            known.add(tombstone)
        if not saved.whole and file.exists():
            # A copy: at no moment may the good lines be in no file of that name.
            aside = _aside(file)
            shutil.copyfile(file, aside)
            logger.error("the damaged %s is kept as %s", file, aside.name)
        if not saved.whole or set(known) != before:
            write_tombstones(state_dir, known)


def _write_lines(file: Path, items: Sequence[LiveItem]) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with aside.open("wb") as out:
        for start in range(0, len(items), _LINES):
            out.write(b"".join(to_json(item) + b"\n" for item in items[start : start + _LINES]))
            time.sleep(_PAUSE_SECONDS)
        out.flush()
        os.fsync(out.fileno())
    aside.replace(file)
    flush_directory(file.parent)


def _put_aside(file: Path, error: ValueError) -> None:
    aside = _aside(file)
    file.replace(aside)
    logger.error("%s was damaged and is now %s: %s", file, aside.name, error)


def _aside(file: Path) -> Path:
    return file.with_name(f"{file.name}.damaged-{int(time.time())}")


@contextmanager
def _locked(file: Path, *, wait: bool) -> Iterator[bool]:
    """Holds the lock of the file; yields False when it is taken and `wait` is not set."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
