"""The registry: bundles side by side in one directory, and which of them is the champion."""

from __future__ import annotations

import fcntl
import json
import logging
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from recsvc.bundle.erasure import Erasures, knows_erased
from recsvc.bundle.errors import BundleCorrupt, BundleError, NothingToRollBackTo, VersionUnknown
from recsvc.bundle.files import replace_file
from recsvc.bundle.manifest import VERSION_PATTERN, Manifest
from recsvc.bundle.reader import read_manifest

CHAMPION_NAME: Final = "CHAMPION"
PROMOTIONS_NAME: Final = "PROMOTIONS.jsonl"
_LOCK_NAME: Final = ".lock"
_SECONDS_PER_DAY: Final = 86_400.0

_log = logging.getLogger(__name__)


class Registry:
    """The bundles of one models directory.

    `CHAMPION` holds the champion's version, one line, replaced by rename. `PROMOTIONS.jsonl` records every
    promotion and rollback; a rollback returns to the champion before the latest promotion not yet rolled back.
    Changes are serialised between processes by a file lock; reading needs none.
    """

    def __init__(self, models_dir: Path) -> None:
        self.models_dir = models_dir

    def versions(self) -> list[str]:
        """The published versions, newest first."""
        if not self.models_dir.is_dir():
            return []
        names = (path.name for path in self.models_dir.iterdir() if path.is_dir())
        return sorted((name for name in names if re.match(VERSION_PATTERN, name)), reverse=True)

    def path(self, version: str) -> Path:
        """The directory of a version. Raises VersionUnknown (also for a name that is no version at all)."""
        path = self.models_dir / version
        if not re.match(VERSION_PATTERN, version) or not path.is_dir():
            raise VersionUnknown(version)
        return path

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises VersionUnknown, BundleCorrupt, FormatUnsupported."""
        return read_manifest(self.path(version))

    def champion(self) -> str | None:
        """The champion's version, or None when nothing was promoted yet. Raises BundleCorrupt for a broken line."""
        file = self.models_dir / CHAMPION_NAME
        try:
            line = file.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise BundleCorrupt(file, f"cannot be read ({exc})") from exc
        if not re.match(VERSION_PATTERN, line):
            raise BundleCorrupt(file, "does not hold a model version")
        return line

    def promote(self, version: str) -> None:
        """Makes a version the champion. Raises VersionUnknown; promoting the champion again changes nothing."""
        with self._locked():
            self.path(version)
            previous = self._champion_or_none()
            if previous != version:
                self._record("promote", version, previous)
                self._write_champion(version)

    def rollback_target(self) -> str:
        """The version that `rollback` would return to. Raises NothingToRollBackTo."""
        return self._before_latest_promotion()

    def rollback(self, expected: str | None = None) -> str:
        """Makes the champion before the latest promotion champion again; returns its version.

        Rolling back twice goes back two promotions. Raises NothingToRollBackTo, also when somebody else's promotion
        or rollback meanwhile made the target another one than the `expected` one, which the caller had verified.
        """
        with self._locked():
            target = self._before_latest_promotion()
            if expected not in (None, target):
                raise NothingToRollBackTo(f"the champion was changed meanwhile; {expected} is no longer the one before")
            self._record("rollback", target, self._champion_or_none())
            self._write_champion(target)
            return target

    def prune(self, keep: int, in_use: Collection[str] = ()) -> list[str]:
        """Removes all but the newest `keep` versions; the champion, the one a rollback goes to and those `in_use` stay.

        Returns the versions removed.
        """
        with self._locked():
            spared = {*self.versions()[:keep], *in_use, self.champion()}
            with suppress(NothingToRollBackTo):
                spared.add(self._before_latest_promotion())
            removed = [version for version in self.versions() if version not in spared]
            self._remove(removed)
            return removed

    def expire(self, erasures: Erasures, now: float, days: float = 30) -> list[str]:
        """Removes the versions that know a user erased more than `days` before `now` (Unix seconds); returns them.

        The version that a rollback would go to is no exception. The champion is: it stays, which is logged, until a
        version trained without the user replaces it. What interrupted runs and removals left behind for that long goes
        too. A version that cannot be read stays, which is logged. Raises BundleCorrupt for a broken CHAMPION, before
        anything is removed.
        """
        before = now - days * _SECONDS_PER_DAY
        overdue = [version for version in self.versions() if self.knows_erased(version, erasures, before)]
        with self._locked():
            champion = self.champion()  # one that cannot be read could be any of them: nothing is removed
            if champion in overdue:
                _log.warning("the champion %s knows a user erased more than %g days ago; retrain", champion, days)
            removed = [version for version in overdue if version != champion and (self.models_dir / version).is_dir()]
            self._remove(removed)
            self._remove_leftovers(before)
            return removed

    def knows_erased(self, version: str, erasures: Erasures, before: float) -> bool:
        """Whether a version knows a user erased earlier than `before` (Unix seconds).

        False, which is logged, for one that cannot be read, and for one that is gone.
        """
        try:
            return knows_erased(self.path(version), erasures, before)
        except VersionUnknown:
            return False
        except BundleError as exc:
            _log.warning("%s may know erased users: %s", version, exc)
            return False

    def _remove(self, versions: Iterable[str]) -> None:
        for version in versions:
            # Renamed first: a version is there whole or not at all, whatever interrupts the removal.
            doomed = self.models_dir / f".{version}.removing"
            (self.models_dir / version).rename(doomed)
            shutil.rmtree(doomed)

    def _remove_leftovers(self, before: float) -> None:
        for path in [*self.models_dir.glob(".*.removing"), *self.models_dir.glob(".*.writing")]:
            with suppress(FileNotFoundError):  # a run that is still at work may have just renamed its own
                if path.suffix == ".removing" or path.stat().st_mtime < before:
                    shutil.rmtree(path)

    def _champion_or_none(self) -> str | None:
        try:
            return self.champion()
        except BundleCorrupt:
            return None  # promoting or rolling back is what mends an unreadable CHAMPION

    def _before_latest_promotion(self) -> str:
        stack: list[str | None] = []
        for entry in self._records():
            if entry["action"] == "promote":
                stack.append(entry["previous"])
            elif stack:
                stack.pop()
        target = stack[-1] if stack else None
        if target is None:
            raise NothingToRollBackTo("there is no earlier champion to roll back to; `make models` lists all versions")
        if not (self.models_dir / target).is_dir():
            raise NothingToRollBackTo(f"the earlier champion {target} was removed; promote another version instead")
        return target

    def _records(self) -> Iterator[dict[str, str | None]]:
        file = self.models_dir / PROMOTIONS_NAME
        if file.is_file():
            for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), start=1):
                try:
                    entry = json.loads(line)
                    yield {"action": entry["action"], "previous": entry["previous"]}
                except (ValueError, KeyError, TypeError) as exc:
                    raise BundleCorrupt(
                        file, f"line {number} is not a record of a promotion; mend or remove it"
                    ) from exc

    def _record(self, action: str, version: str, previous: str | None) -> None:
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "action": action,
            "version": version,
            "previous": previous,
        }
        file = self.models_dir / PROMOTIONS_NAME
        earlier = file.read_bytes() if file.is_file() else b""
        replace_file(file, earlier + (json.dumps(entry) + "\n").encode())

    def _write_champion(self, version: str) -> None:
        replace_file(self.models_dir / CHAMPION_NAME, f"{version}\n".encode("ascii"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.models_dir.mkdir(parents=True, exist_ok=True)
        with (self.models_dir / _LOCK_NAME).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
