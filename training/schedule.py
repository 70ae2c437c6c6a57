"""Retraining unattended: when it is time, a run of `retrain` as a child of this process."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from recsvc.bundle.errors import BundleError
from recsvc.bundle.registry import Registry
from training.errors import ConfigInvalid, TrainingError
from training.plan import Places
from training.sources.erasure import tombstones_of
from training.sources.log import log_root, rows_after

_DAY: Final = 86_400.0
_ERASED_DAYS: Final = 21
"""The champion is replaced then, nine days before an erased user must be gone."""
_FIRST_PAUSE_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 6 * 3600.0
_PATIENCE_SECONDS: Final = 30.0
_PROMOTED, _REFUSED = 0, 1


@dataclass(frozen=True, slots=True)
class Rules:
    """Retrain after so many hours, or so many new events in the log, whichever comes first; None: not for that."""

    every_hours: float | None
    every_events: int | None

    def words(self) -> str:
        """What they say."""
        hours = None if self.every_hours is None else f"every {self.every_hours:g} hours"
        events = None if self.every_events is None else f"every {self.every_events:,} new events"
        return " and ".join(part for part in (hours, events) if part)


def reason_to_retrain(places: Places, rules: Rules, now: float) -> str | None:
    """Why it is time, or None when it is not; everything is read from the registry and the log, so a restart forgets
    nothing. What counts is the newest version, promoted or refused: the gate's word is not asked again at once."""
    registry = Registry(places.models_dir)
    versions = registry.versions()
    champion = registry.champion()
    if not versions or champion is None:
        return "there is no champion yet"
    age = now - made_at(versions[0])
    if age > _DAY and registry.knows_erased(champion, tombstones_of(places.state_dir), now - _ERASED_DAYS * _DAY):
        return f"the champion {champion} knows a user erased more than {_ERASED_DAYS} days ago"
    if rules.every_hours is not None and age >= rules.every_hours * 3600:
        return f"the newest version is {age / 3600:.1f} hours old"
    if rules.every_events is not None:
        fresh = rows_after(log_root(places.state_dir), _log_ends(registry, versions[0]))
        if fresh >= rules.every_events:
            return f"{fresh:,} new events in the log"
    return None


def made_at(version: str) -> float:
    """The moment in a version's name, Unix seconds."""
    return datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def run_schedule(places: Places, rules: Rules, command: Sequence[str], look_every_seconds: float) -> None:
    """Looks, and runs `command` when it is time, until interrupted; the child ends with it. A run that fails is tried
    again after a minute, then after twice as long, up to six hours. Raises ConfigInvalid when another schedule runs."""
    with _alone(places.models_dir) as lock:
        _say(f"retraining {rules.words()}")
        failures, not_before = 0, 0.0
        while True:
            if time.time() >= not_before and (succeeded := _look(places, rules, command, lock)) is not None:
                failures = 0 if succeeded else failures + 1
                not_before = time.time() + pause_after(failures)
                if failures:
                    _say(f"next try in {pause_after(failures) / 60:.0f} minutes")
            time.sleep(look_every_seconds)


def _look(places: Places, rules: Rules, command: Sequence[str], lock: int) -> bool | None:
    """Runs the command if it is time: whether that went well; None when it is not time."""
    try:
        reason = reason_to_retrain(places, rules, time.time())
    except (BundleError, TrainingError, OSError) as exc:
        _say(f"cannot tell whether it is time: {exc}")
        return False
    if reason is None:
        return None
    _say(f"retraining: {reason}")
    status, last = _run(command, lock)
    _say(_outcome(places, status, last))
    return status in (_PROMOTED, _REFUSED)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failed runs in a row."""
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS) if failures else 0.0


def _outcome(places: Places, status: int, last: str) -> str:
    if status == _PROMOTED:
        return f"done: the champion is {Registry(places.models_dir).champion()}"
    if status == _REFUSED:
        return f"not promoted: {last}"
    return f"failed with status {status}: {last}"


def _log_ends(registry: Registry, version: str) -> dict[str, str]:
    try:
        return registry.manifest(version).log_ends or {}
    except BundleError:
        return {}  # one that cannot be read is as good as none: the log counts from its beginning


def _run(command: Sequence[str], lock: int) -> tuple[int, str]:
    """Runs the command to its end: its status, and the line that says most of how it went."""
    with tempfile.TemporaryFile() as output:
        # In a session of its own, so that Ctrl-C reaches it through us alone. It holds the lock with us: should we be
        # killed, no other schedule begins before it has ended.
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=(lock,)
        )
        try:
            status = child.wait()
        except BaseException:
            _end(child)
            raise
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").splitlines()
    telling = [line for line in lines if line.startswith(("error: ", "refused: "))]
    return status, next(reversed([*lines[-1:], *telling]), "it said nothing")


def _end(child: subprocess.Popen[Any]) -> None:
    child.terminate()
    try:
        child.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextmanager
def _alone(models_dir: Path) -> Iterator[int]:
    models_dir.mkdir(parents=True, exist_ok=True)
    with (models_dir / ".schedule.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise ConfigInvalid(
                f"a schedule (process {holder}), or a run that outlived it, already retrains {models_dir}; stop that "
                "one first, or wait until it has ended"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()


def _say(line: str) -> None:
    print(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}", file=sys.stdout, flush=True)
