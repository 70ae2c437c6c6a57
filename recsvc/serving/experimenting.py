"""What experiments make of a request: who is in which variant, and which model answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from recsvc.eventlog.event import Arm
from recsvc.experiments.assignment import Assigned, Assigner, Assignment, Left, Who
from recsvc.experiments.definition import Experiment
from recsvc.experiments.targeting import NO_TRAITS, Traits
from recsvc.serving.errors import ParameterInvalid
from recsvc.serving.models import ModelPool
from recsvc.serving.served import ServedModel
from recsvc.store.errors import StoreUnavailable
from recsvc.telemetry import Telemetry

TraitsOf = Callable[[str], Awaitable[Traits]]
"""What the user resource of a user says; it may raise `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A variant that the caller names: for a test (`forced`), or because another system assigned it."""

    experiment: str
    variant: str
    forced: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What a request has to do with experiments. `model` of the variant, None for the model in use; `fell_back` where
    the variant's could not be had; `arms` as the token and the answer say it.

    `teams` are the two models to interleave, `exploration` the share of places given to chance. `lasting`: the same
    request has the same answer until the experiments or the user change. Not so where there is chance in it, nor where
    the caller chose the variant, which needs a key each time. `sequence` is the user's number
    at which the user resource was read, None where nothing goes by it.
    """

    model: ServedModel | None = None
    fell_back: bool = False
    arms: tuple[Arm, ...] = ()
    teams: tuple[ServedModel, ServedModel] | None = None
    exploration: float = 0.0
    lasting: bool = True
    sequence: int | None = None


NO_PART = Part()


class Experimenting:
    """Assigns, and finds the model of a variant among those that are open: nothing is opened for a request."""

    def __init__(
        self,
        pool: ModelPool,
        assigner: Callable[[], Assigner],
        traits_of: TraitsOf,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        """`assigner` gives the one of this moment; `clock` Unix seconds."""
        self._pool = pool
        self._assigner = assigner
        self._traits_of = traits_of
        self._telemetry = telemetry
        self._clock = clock

    async def of_user(self, who: Who) -> Assigned:
        """What the user is assigned to; the user resource is read where a running experiment is targeted."""
        assigner = self._assigner()
        return assigner.assign(who, await self._traits(who, assigner), self._clock())

    async def of_request(self, who: Who, chosen: Chosen | None) -> Part:
        """The part of a request of that user, with what the caller chose.

        Raises ParameterInvalid for an experiment or a variant that there is not.
        """
        assigner = self._assigner()
        traits = await self._traits(who, assigner)
        picked = None if chosen is None else _picked(assigner, chosen)
        part = self._part(assigner.assign(who, traits, self._clock(), picked), chosen=chosen is not None)
        if not assigner.targets:
            return part
        return replace(part, lasting=part.lasting and traits.sequence is not None, sequence=traits.sequence)

    async def outcome(self, experiment: Experiment, who: Who) -> Assignment | Left:
        """What becomes of a user in one experiment, were it the latest that runs. Raises `StoreUnavailable`."""
        assigner = self._assigner()
        traits = await self._traits_of(who.user_id) if assigner.targets or experiment.targeting else NO_TRAITS
        return assigner.outcome(experiment, who, traits, self._clock())

    async def _traits(self, who: Who, assigner: Assigner) -> Traits:
        if assigner.targets:
            # Without Redis nobody is known to be a target: those experiments go without this request, in all variants.
            with suppress(StoreUnavailable):
                return await self._traits_of(who.user_id)
        return NO_TRAITS

    def _part(self, assigned: Assigned, *, chosen: bool) -> Part:
        if not assigned.assignments:
            return NO_PART
        if assigned.decisive is None:
            return Part(arms=assigned.arms, lasting=not chosen)
        variant = assigned.decisive.variant
        if not all(map(self._pool.opened, variant.models)):
            return Part(fell_back=True, arms=assigned.fallen_back, lasting=False)
        if variant.teams is not None:
            first, second = map(self._opened, variant.teams)
            if first is None or second is None or first is second:
                # The champion has become the other team: there is nothing to compare.
                return Part(fell_back=True, arms=assigned.fallen_back, lasting=False)
            return Part(arms=assigned.arms, teams=(first, second), lasting=False)
        exploration = variant.exploration
        model = None if variant.model is None else self._pool.opened(variant.model)
        lasting = not (chosen or exploration)
        return Part(model, arms=assigned.arms, exploration=exploration, lasting=lasting)

    def _opened(self, version: str | None) -> ServedModel | None:
        return self._pool.active if version is None else self._pool.opened(version)


def _picked(assigner: Assigner, chosen: Chosen) -> Assignment:
    name = "variant" if chosen.forced else "assigned"
    placing = assigner.placing(chosen.experiment)
    if placing is None or not (placing.runs or chosen.forced):
        wanted = "that is not archived" if chosen.forced else "that runs"
        raise ParameterInvalid(name, f"there is no experiment {chosen.experiment!r} {wanted}; see GET /v1/experiments")
    found = placing.variant(chosen.variant, forced=chosen.forced)
    if found is None:
        known = ", ".join(variant.key for variant in placing.experiment.variants)
        raise ParameterInvalid(name, f"{chosen.experiment!r} has no variant {chosen.variant!r}; it has {known}")
    return found
