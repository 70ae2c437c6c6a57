"""Experiments as resources: read, and changed under the condition that nobody else did meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError

from recsvc.experiments import changes
from recsvc.experiments.assignment import Assigner
from recsvc.experiments.definition import Definition, Experiment
from recsvc.experiments.errors import ChangedMeanwhile, ChangeRefused, ExperimentUnknown, TooMany
from recsvc.experiments.live import MAX_RUNNING, LiveExperiments
from recsvc.store.errors import StoreUnavailable
from recsvc.store.experiment_store import ExperimentStore

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
Change = Callable[[Experiment], Experiment]


@dataclass(frozen=True, slots=True)
class Put:
    """An experiment as it was stored, and whether there was none before."""

    experiment: Experiment
    created: bool


class Experiments:
    """What there is, and the changes. A change is in effect in this process on return, in others within a poll.

    `revision`, where it is given, is what the caller had read: ChangedMeanwhile where it is another by now. Changes
    raise `StoreUnavailable`, and ChangeRefused for an experiment of the file.
    """

    def __init__(self, store: ExperimentStore, live: LiveExperiments, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._store = store
        self._live = live
        self._clock = clock

    @property
    def assigner(self) -> Assigner:
        """Of what is known now."""
        return self._live.assigner

    async def known(self) -> list[Experiment]:
        """Everything there is, by key; while Redis is away what was known last."""
        try:
            await self._live.caught_up()
        except StoreUnavailable as exc:
            logger.warning("experiments are shown as they were known last: %s", exc)
        return sorted(self._live.assigner.experiments.values(), key=lambda experiment: experiment.key)

    async def get(self, key: str) -> Experiment:
        """The experiment. Raises ExperimentUnknown."""
        for experiment in await self.known():
            if experiment.key == key:
                return experiment
        raise ExperimentUnknown(key)

    def is_fixed(self, key: str) -> bool:
        """Whether it comes from the file, so that it is changed there alone."""
        return key in self._live.fixed

    async def put(self, definition: Definition, revision: int | None) -> Put:
        """Makes it, a draft, or replaces what is defined of it. Raises ChangeRefused, TooMany."""
        created = False

        def change(before: Experiment | None, now: datetime, last_revision: int) -> Experiment:
            nonlocal created
            created = before is None
            if before is None:
                return changes.created(definition, now, last_revision)
            return changes.replaced(before, definition, now)

        stored = await self._change(definition.key, "put", revision, change)
        assert stored is not None  # noqa: S101 - only a deletion leaves nothing
        return Put(stored, created)

    async def start(self, key: str, revision: int | None) -> Experiment:
        """Raises ExperimentUnknown, ChangeRefused."""
        running = [other for other in await self.known() if other.state == "running"]
        if len(running) >= MAX_RUNNING:
            raise ChangeRefused(f"{MAX_RUNNING} experiments are running, and no more may; stop one of them")
        return await self._transition(key, "start", revision, changes.started)

    async def stop(self, key: str, revision: int | None) -> Experiment:
        """Raises ExperimentUnknown, ChangeRefused."""
        return await self._transition(key, "stop", revision, changes.stopped)

    async def archive(self, key: str, revision: int | None) -> Experiment:
        """Raises ExperimentUnknown, ChangeRefused."""
        return await self._transition(key, "archive", revision, changes.archived)

    async def delete(self, key: str, revision: int | None) -> None:
        """Removes it; what was changed in it stays in the audit. Raises ExperimentUnknown, ChangeRefused if it runs."""

        def change(before: Experiment | None, _now: datetime, _last_revision: int) -> None:
            if before is None:
                raise ExperimentUnknown(key)
            if before.state == "running":
                raise ChangeRefused(f"experiment {key!r} is running; stop it first")

        await self._change(key, "delete", revision, change)

    async def audit(self, key: str) -> list[dict[str, Any]]:
        """What was changed, oldest first; empty for an experiment that nobody knows."""
        return [orjson.loads(entry) for entry in await self._store.audit(key)]

    async def _transition(
        self, key: str, action: str, revision: int | None, step: Callable[[Experiment, datetime], Experiment]
    ) -> Experiment:
        def change(before: Experiment | None, now: datetime, _last_revision: int) -> Experiment:
            if before is None:
                raise ExperimentUnknown(key)
            return step(before, now)

        stored = await self._change(key, action, revision, change)
        assert stored is not None  # noqa: S101
        return stored

    async def _change(
        self,
        key: str,
        action: str,
        revision: int | None,
        change: Callable[[Experiment | None, datetime, int], Experiment | None],
    ) -> Experiment | None:
        if self.is_fixed(key):
            raise ChangeRefused(f"experiment {key!r} comes from the file of experiments; change it there")
        for _ in range(_ATTEMPTS):
            stored = await self._store.get(key)
            before = None if stored.definition is None else _read(key, stored.definition)
            last_revision = 0 if stored.last_entry is None else orjson.loads(stored.last_entry)["revision"]
            if revision is not None and revision != (0 if before is None else before.revision):
                raise ChangedMeanwhile(key)
            now = datetime.fromtimestamp(self._clock(), UTC)
            after = change(before, now, last_revision)
            value = None if after is None else after.model_dump_json().encode()
            outcome = await self._store.change(key, stored, value, _entry(action, before, after, now))
            if outcome == "full":
                raise TooMany(f"there are {self._store.max_experiments} experiments; delete some that are archived")
            if outcome == "done":
                await self._live.caught_up()
                return after
        raise ChangedMeanwhile(key)


def _read(key: str, stored: bytes) -> Experiment:
    try:
        return Experiment.model_validate_json(stored)
    except ValidationError as exc:
        raise ChangeRefused(f"experiment {key!r} was stored by another release, which has to change it") from exc


def _entry(action: str, before: Experiment | None, after: Experiment | None, now: datetime) -> bytes:
    found = after or before
    assert found is not None  # noqa: S101
    return orjson.dumps(
        {
            "at": now.isoformat().replace("+00:00", "Z"),
            "action": action,
            "state": None if after is None else after.state,
            "revision": found.revision,
            "phase": len(found.phases),
            "changed": [] if after is None else changes.changed_fields(before, after),
        }
    )
