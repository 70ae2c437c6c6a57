"""Who gets which variant: a pure function of the definitions, the id and what is known of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from recsvc.eventlog.event import Arm
from recsvc.experiments.definition import Experiment, Phase, Variant
from recsvc.experiments.hashing import BUCKETS, NAMESPACE_BUCKETS, bucket, namespace_bucket, seeded
from recsvc.experiments.targeting import NO_TRAITS, Traits, compiled

_MOST_KNOWN: Final = 10_000


class Who(NamedTuple):
    """Whose assignment is asked for. `unit_id` that the request brought; `began_as` the visitor with whom the account
    began, whose variants it keeps."""

    user_id: str
    unit_id: str | None = None
    began_as: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A user's variant; all who have it share one object. `phase` from 1; `forced` for a test, not to be analysed;
    `decides` where the experiment is one that has variants with lists of their own."""

    experiment: str
    phase: int
    variant: Variant
    forced: bool
    decides: bool


class Left(StrEnum):
    """Why a user is not in an experiment."""

    HOLDOUT = "holdout"
    TARGETING = "targeting"
    NAMESPACE = "namespace"
    COVERAGE = "coverage"
    NO_UNIT = "no_unit_id"
    """The experiment hashes a `unit_id`, and the request brought none."""
    TAKEN = "another_experiment"
    """One that was started before decides on the user's list."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """All of a user's assignments; of one set there is one object. `decisive` the one that decides on the list: one at
    most. `arms` and `fallen_back` are what the token says of them, without and with the fallback of that one."""

    assignments: tuple[Assignment, ...] = ()
    decisive: Assignment | None = None
    arms: tuple[Arm, ...] = ()
    fallen_back: tuple[Arm, ...] = ()

    @classmethod
    def of(cls, assignments: tuple[Assignment, ...]) -> Assigned:
        """From the assignments, of which one at most decides."""
        decisive = next((found for found in assignments if found.decides), None)
        return cls(
            assignments,
            decisive,
            tuple(_arm(found, fallback=False) for found in assignments),
            tuple(_arm(found, fallback=found is decisive) for found in assignments),
        )


NOTHING_ASSIGNED: Final = Assigned()


def ranges(weights: Iterable[float], coverage: float) -> list[tuple[float, float]]:
    """Where each variant's n lies: start ≤ n < end. With less coverage each range ends earlier and begins where it did,
    so that a change of coverage moves nobody from one variant to another (GrowthBook's getBucketRanges)."""
    found, start = [], 0.0
    for weight in weights:
        found.append((start, start + coverage * weight))
        start += weight
    return found


class Placing:
    """One experiment, made ready to place users."""

    def __init__(self, experiment: Experiment) -> None:
        """A draft places as its first phase will."""
        self.experiment = experiment
        self.key = experiment.key
        self.by_unit_id = experiment.unit == "unit_id"
        self.targets = experiment.targeting is not None
        self.runs = experiment.state == "running"
        self.decides = any(variant.decides for variant in experiment.variants)
        phase = experiment.phases[-1] if experiment.phases else _first(experiment)
        number = max(len(experiment.phases), 1)
        self._state = seeded(phase.seed)
        self._assignments = {
            variant.key: Assignment(self.key, number, variant, False, self.decides) for variant in experiment.variants
        }
        self._forced = {
            variant.key: Assignment(self.key, number, variant, True, self.decides) for variant in experiment.variants
        }
        bounds = ranges(experiment.weights.values(), experiment.coverage)
        self._ranges = [
            (start, end, self._assignments[variant.key])
            for (start, end), variant in zip(bounds, experiment.variants, strict=True)
            if end > start
        ]
        self._forced_users: Mapping[str, Assignment] = {
            user: self._forced[variant] for user, variant in experiment.forced.items()
        }
        held = experiment.holdout
        self._holdout = None if held is None else (seeded(held.group), held.share)
        space = experiment.namespace
        self._namespace = None if space is None else (space.name, space.start, space.end)
        aim = experiment.targeting
        self._aimed = None if aim is None else compiled(aim, phase.started_at.timestamp())
        self._restricted = not (held is None and space is None and aim is None)

    def variant(self, key: str, *, forced: bool) -> Assignment | None:
        """The assignment to a variant that somebody else chose, or None where there is no such variant."""
        return (self._forced if forced else self._assignments).get(key)

    def place(self, who: Who, traits: Traits, now: float) -> Assignment | Left:
        """The user's variant, or why there is none; `now` Unix seconds."""
        forced = self._forced_users.get(who.user_id)
        if forced is not None:
            return forced
        unit = who.unit_id if self.by_unit_id else who.began_as or who.user_id
        if unit is None:
            return Left.NO_UNIT
        value = unit.encode("utf-8")
        return (self._restricted and self._kept_out(value, traits, now)) or self._drawn(value)

    def _kept_out(self, value: bytes, traits: Traits, now: float) -> Left | None:
        if self._holdout is not None and bucket(self._holdout[0], value) / BUCKETS < self._holdout[1]:
            return Left.HOLDOUT
        if self._aimed is not None and not self._aimed(traits, now):
            return Left.TARGETING
        if self._namespace is not None:
            name, start, end = self._namespace
            if not start <= namespace_bucket(name, value) / NAMESPACE_BUCKETS < end:
                return Left.NAMESPACE
        return None

    def _drawn(self, value: bytes) -> Assignment | Left:
        place = bucket(self._state, value) / BUCKETS
        for start, end, assignment in self._ranges:
            if start <= place < end:
                return assignment
        return Left.COVERAGE


class Assigner:
    """The running experiments, made ready once and asked at every request. Never changed: another set is another one.

    A user is in any number of experiments, but in one at most of those that have variants with lists of their own: the
    one that was started first. The others are as if they were not there for that user, whichever variant it is.
    """

    def __init__(self, experiments: Iterable[Experiment] = ()) -> None:
        everything = sorted(experiments, key=_since)
        self.experiments = {experiment.key: experiment for experiment in everything}
        self._placings = {
            experiment.key: Placing(experiment) for experiment in everything if experiment.state != "archived"
        }
        self._running = tuple(placing for placing in self._placings.values() if placing.runs)
        self._of_forced = self._forced_first()
        self._known: dict[tuple[Assignment, ...], Assigned] = {(): NOTHING_ASSIGNED}
        self.targets = any(placing.targets for placing in self._running)
        """Whether `assign` wants to know the traits of users."""

    @property
    def models(self) -> frozenset[str]:
        """The versions that running experiments need."""
        variants = (variant for placing in self._running for variant in placing.experiment.variants)
        return frozenset(version for variant in variants for version in variant.models)

    def placing(self, key: str) -> Placing | None:
        """The experiment, or None for one that is archived or unknown."""
        return self._placings.get(key)

    def assign(
        self,
        who: Who,
        traits: Traits = NO_TRAITS,
        now: float = 0.0,
        chosen: Assignment | None = None,
    ) -> Assigned:
        """The user's assignments; `now` Unix seconds matter to targeting alone. `chosen` by somebody else stands first.
        No I/O, a few microseconds an experiment."""
        if not self._running and chosen is None:
            return NOTHING_ASSIGNED
        found: list[Assignment] = [] if chosen is None else [chosen]
        decided = chosen is not None and chosen.decides
        for placing in self._of_forced.get(who.user_id, self._running):
            if (decided and placing.decides) or (chosen is not None and chosen.experiment == placing.key):
                continue
            assignment = placing.place(who, traits, now)
            if isinstance(assignment, Assignment):
                found.append(assignment)
                decided = decided or placing.decides
        return self._of(tuple(found))

    def outcome(self, experiment: Experiment, who: Who, traits: Traits, now: float) -> Assignment | Left:
        """What becomes of the user in one experiment, were it the latest that runs."""
        known = self._placings.get(experiment.key)
        here = known if known is not None and known.experiment is experiment else Placing(experiment)
        others = self.assign(who, traits, now)
        if here.decides and others.decisive is not None and others.decisive.experiment != here.key:
            return Left.TAKEN
        return here.place(who, traits, now)

    def _forced_first(self) -> dict[str, tuple[Placing, ...]]:
        """By user who is forced into any, the running experiments, those that force the user before the others."""
        users = {user for placing in self._running for user in placing.experiment.forced}
        return {
            user: tuple(sorted(self._running, key=lambda placing: user not in placing.experiment.forced))
            for user in users
        }

    def _of(self, assignments: tuple[Assignment, ...]) -> Assigned:
        known = self._known.get(assignments)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[assignments] = Assigned.of(assignments)
        return known


def _arm(assignment: Assignment, *, fallback: bool) -> Arm:
    return Arm(assignment.experiment, assignment.phase, assignment.variant.key, assignment.forced, fallback)


def _first(experiment: Experiment) -> Phase:
    return Phase(
        seed=experiment.seed,
        started_at=experiment.created_at,
        weights=experiment.weights,
        coverage=experiment.coverage,
    )


def _since(experiment: Experiment) -> tuple[float, str]:
    """When it was started for the first time: what its place among the others goes by."""
    begun = experiment.phases[0].started_at if experiment.phases else experiment.created_at
    return begun.timestamp(), experiment.key
