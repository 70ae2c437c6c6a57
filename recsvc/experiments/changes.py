"""What may become of an experiment, and when a change begins a new phase."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Final

from recsvc.experiments.definition import MAX_PHASES, Definition, Experiment, Phase
from recsvc.experiments.errors import ChangeRefused

_BOOK_KEEPING: Final = frozenset({"revision", "updated_at"})


def created(definition: Definition, now: datetime, last_revision: int = 0) -> Experiment:
    """A draft. Without a seed of its own it gets one that no experiment had, whatever the key was used for before.

    `last_revision` is that of the deleted one of this key, if there was one: revisions go on from there, so that who
    had read that one does not change this one unawares.
    """
    seed = definition.seed or f"{definition.key}.{secrets.token_hex(4)}"
    fields = _fields(definition) | {"seed": seed, "revision": last_revision + 1}
    return Experiment(**fields, created_at=now, updated_at=now)


def replaced(before: Experiment, definition: Definition, now: datetime) -> Experiment:
    """The experiment as the definition has it.

    While it runs, other variants, weights or another unit begin a new phase: whom the old one had assigned is assigned
    anew under a new seed. What only changes who takes part (coverage, targeting, namespace, holdout) does not. Raises
    ChangeRefused for an archived experiment, and for another seed once there was a phase.
    """
    if before.state == "archived":
        raise ChangeRefused(f"experiment {before.key!r} is archived and stays as it is; make one with another key")
    if before.phases and definition.seed not in (None, before.seed):
        raise ChangeRefused(f"the seed of {before.key!r} has been used; each new phase gets its own, so leave it out")
    phases = before.phases
    if before.state == "running":
        anew = definition.variants != before.variants or definition.unit != before.unit
        if anew:
            phases = _next_phase(_closed(phases, now), before.key, definition.seed or before.seed, definition, now)
        else:
            phases = (*phases[:-1], phases[-1].model_copy(update={"coverage": definition.coverage}))
    fields = _fields(definition) | {"seed": definition.seed or before.seed, "state": before.state, "phases": phases}
    return _revised(before, fields, now)


def started(before: Experiment, now: datetime) -> Experiment:
    """Running, in a new phase. Raises ChangeRefused unless it is a draft or stopped."""
    if before.state not in ("draft", "stopped"):
        raise ChangeRefused(
            f"experiment {before.key!r} is {before.state}; only a draft or a stopped one can be started"
        )
    phases = _next_phase(before.phases, before.key, before.seed, before, now)
    return _revised(before, _kept(before) | {"state": "running", "phases": phases}, now)


def stopped(before: Experiment, now: datetime) -> Experiment:
    """Its phase ended: nobody is assigned any more. Raises ChangeRefused unless it runs."""
    if before.state != "running":
        raise ChangeRefused(f"experiment {before.key!r} is {before.state}; only one that is running can be stopped")
    return _revised(before, _kept(before) | {"state": "stopped", "phases": _closed(before.phases, now)}, now)


def archived(before: Experiment, now: datetime) -> Experiment:
    """For good. Raises ChangeRefused while it runs, and for one that is archived."""
    if before.state in ("running", "archived"):
        remedy = "stop it first" if before.state == "running" else "nothing is left to do"
        raise ChangeRefused(f"experiment {before.key!r} is {before.state}; {remedy}")
    return _revised(before, _kept(before) | {"state": "archived"}, now)


def changed_fields(before: Experiment | None, after: Experiment) -> list[str]:
    """The names of the fields that differ, for the audit."""
    ours, theirs = _kept(after), {} if before is None else _kept(before)
    return sorted(name for name in ours.keys() - _BOOK_KEEPING if ours[name] != theirs.get(name))


def seed_of(seed: str, number: int) -> str:
    """What the `number`-th phase hashes with: a seed that was used once carries the effects of its phase."""
    return seed if number == 1 else f"{seed}.{number}"


def _next_phase(
    phases: tuple[Phase, ...], key: str, seed: str, definition: Definition, now: datetime
) -> tuple[Phase, ...]:
    number = len(phases) + 1
    if number > MAX_PHASES:
        raise ChangeRefused(f"experiment {key!r} had {MAX_PHASES} phases; go on with one of another key")
    phase = Phase(seed=seed_of(seed, number), started_at=now, weights=definition.weights, coverage=definition.coverage)
    return (*phases, phase)


def _closed(phases: tuple[Phase, ...], now: datetime) -> tuple[Phase, ...]:
    return (*phases[:-1], phases[-1].model_copy(update={"ended_at": now}))


def _revised(before: Experiment, fields: dict[str, Any], now: datetime) -> Experiment:
    fields |= {"revision": before.revision + 1, "created_at": before.created_at, "updated_at": now}
    return Experiment(**fields)


def _fields(definition: Definition) -> dict[str, Any]:
    """What is defined, by field; the parts as they are, for they are never changed."""
    return {name: getattr(definition, name) for name in Definition.model_fields}


def _kept(experiment: Experiment) -> dict[str, Any]:
    return {name: getattr(experiment, name) for name in Experiment.model_fields}
