"""Tombstones: which users were erased, and up to where. They name nobody: a digest stands for the id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsvc.bundle.files import replace_file
from recsvc.eventlog.position import StreamId

FILE_NAME: Final = "erasures.jsonl"
"""Below `<state directory>/live/`; one tombstone a line."""

_OUT_OF_ORDER_SECONDS: Final = 60.0


def digest_of(user_id: str) -> str:
    """What stands for an erased user: SHA-256 of the id's UTF-8 bytes, the first 32 hexadecimal digits."""
    return hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A user erased at `erased_at` (Unix seconds, Redis' clock). Of the user's partition of the log everything up to
    and with `until` is erased; what came later is a new user's."""

    digest: str
    until: StreamId
    erased_at: float


class Tombstones:
    """The tombstones there are, by digest; of several of one user the furthest place and the latest time count, which
    need not be one tombstone's where Redis' clock was set back."""

    def __init__(self, tombstones: Iterable[Tombstone] = ()) -> None:
        self._by_digest: dict[str, Tombstone] = {}
        self.version = 0
        """Grows with each one taken."""
        for tombstone in tombstones:
            self.add(tombstone)

    def __len__(self) -> int:
        return len(self._by_digest)

    def __iter__(self) -> Iterator[Tombstone]:
        return iter(tuple(self._by_digest.values()))

    def add(self, tombstone: Tombstone) -> None:
        """Takes one more."""
        known = self._by_digest.get(tombstone.digest)
        if known is not None:
            until, erased_at = max(known.until, tombstone.until), max(known.erased_at, tombstone.erased_at)
            tombstone = Tombstone(tombstone.digest, until, erased_at)
        self._by_digest[tombstone.digest] = tombstone
        self.version += 1

    def of(self, user_id: str) -> Tombstone | None:
        """The user's tombstone, or None."""
        return self._by_digest.get(digest_of(user_id)) if self._by_digest else None

    def erases(self, user_id: str, at: StreamId) -> bool:
        """Whether an entry of the log of this user, with this stream id, is to be forgotten."""
        tombstone = self.of(user_id)
        return tombstone is not None and at <= tombstone.until

    def hides(self, user_id: str, applied_at: float | None) -> bool:
        """Whether a bundle must not know the user; `applied_at` as its manifest has it (see `applied_at`), None when
        no tombstones were applied."""
        tombstone = self.of(user_id)
        return tombstone is not None and (applied_at is None or tombstone.erased_at > applied_at)

    @property
    def applied_at(self) -> float:
        """What the manifest of a bundle trained under these tombstones records: the latest `erased_at`, less a minute.

        Erased times are Redis' own, so no other clock takes part; the minute is for tombstones that were published
        in another order than their times have.
        """
        return max((tombstone.erased_at for tombstone in self), default=0.0) - _OUT_OF_ORDER_SECONDS


def read_tombstones(state_dir: Path) -> Tombstones:
    """The tombstones of a state directory; none when there is no file. Raises ValueError naming a wrong line."""
    file = state_dir / "live" / FILE_NAME
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return Tombstones()
    found = Tombstones()
    for number, line in enumerate(lines, start=1):
        try:
            found.add(from_json(line))
        except (ValueError, KeyError, TypeError) as exc:
            raise ValueError(f"{file}, line {number} is not a tombstone ({exc}); restore the file") from exc
    return found


def write_tombstones(state_dir: Path, tombstones: Tombstones) -> None:
    """Replaces the file of a state directory, flushed to disk."""
    file = state_dir / "live" / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, "".join(to_json(tombstone) + "\n" for tombstone in tombstones).encode("utf-8"))


def to_json(tombstone: Tombstone) -> str:
    """One line, for the file and for Redis."""
    return json.dumps(
        {"digest": tombstone.digest, "until": str(tombstone.until), "erased_at": tombstone.erased_at}, sort_keys=True
    )


def from_json(text: str | bytes) -> Tombstone:
    """The tombstone of such a line. Raises ValueError, KeyError or TypeError."""
    raw = json.loads(text)
    return Tombstone(str(raw["digest"]), StreamId.parse(raw["until"]), float(raw["erased_at"]))
