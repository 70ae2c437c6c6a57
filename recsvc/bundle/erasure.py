"""Whether a bundle knows a user who was erased."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from recsvc.bundle.reader import read_manifest, read_user_ids


class Erasure(Protocol):
    """One erased user."""

    @property
    def erased_at(self) -> float:
        """Unix seconds."""
        ...


class Erasures(Protocol):
    """Who was erased, as `recsvc.eventlog.tombstones.Tombstones` knows it: by a digest of the id."""

    def __iter__(self) -> Iterator[Erasure]:
        """Every one of them."""
        ...

    def of(self, user_id: str) -> Erasure | None:
        """The user's, or None."""
        ...


def knows_erased(path: Path, erasures: Erasures, before: float) -> bool:
    """Whether the bundle in directory `path` has a user who was erased earlier than `before` (Unix seconds).

    A user whom the bundle's own training run left out, and who came back since, is nobody's concern. The ids are
    looked at one by one, but only when an erasure comes into question. Raises BundleCorrupt, FormatUnsupported.
    """
    applied_at = read_manifest(path).erasures_applied_at

    def counts(erasure: Erasure) -> bool:
        return erasure.erased_at < before and (applied_at is None or erasure.erased_at > applied_at)

    if not any(counts(erasure) for erasure in erasures):
        return False
    found = (erasures.of(user_id) for user_id in read_user_ids(path))
    return any(erasure is not None and counts(erasure) for erasure in found)
