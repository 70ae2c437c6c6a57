"""An experiment as people define it, and as it is kept: with its state and the phases it went through."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from recsvc.events.schema import id_problem

MAX_VARIANTS: Final = 10
MAX_FORCED: Final = 1_000
MAX_PHASES: Final = 1_000
MAX_KEY_CHARACTERS: Final = 48
MAX_VALUE_CHARACTERS: Final = 256
"""Of an attribute; the user resource takes no longer ones."""

_KEY: Final = rf"^[a-z0-9][a-z0-9_.-]{{0,{MAX_KEY_CHARACTERS - 1}}}$"


def _checked_id(value: str) -> str:
    problem = id_problem(value)
    if problem is not None:
        raise ValueError(f"{value[:40]!r} is no user id: it {problem}")
    return value


Key = Annotated[str, StringConstraints(strict=True, pattern=_KEY)]
"""Of experiments, variants, metrics and groups: lower-case letters, digits and `_.-`."""
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
UserId = Annotated[StrictStr, AfterValidator(_checked_id)]
Days = Annotated[float, Field(strict=True, ge=0, le=36_500, allow_inf_nan=False)]
Value = (
    StrictBool
    | Annotated[str, StringConstraints(strict=True, max_length=MAX_VALUE_CHARACTERS)]
    | Annotated[int, Field(strict=True, ge=-(2**53), le=2**53)]  # beyond, no two JSON readers agree
    | Annotated[float, Field(strict=True, allow_inf_nan=False)]
)


class Defined(BaseModel):
    """Base of the parts: a field that is not known is an error, and nothing changes once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(Defined):
    """One arm. Without a `model` its users are answered by the champion, whichever that is.

    With `mode` "interleave" each list is made of those of two models, the `teams`; with `exploration` above 0 every
    place of a list is given to chance with that probability.
    """

    key: Key
    weight: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)] = Field(
        default=1.0, description="Its share, in proportion to the sum of all weights."
    )
    model: Name | None = Field(default=None, description="A version of the registry; null: the champion.")
    mode: Literal["interleave"] | None = None
    teams: tuple[Name | None, Name | None] | None = Field(
        default=None, description="Two versions to interleave, a and b in the log; null: the champion."
    )
    exploration: Annotated[float, Field(strict=True, ge=0, le=0.5, allow_inf_nan=False)] = Field(
        default=0.0, description="The probability with which a place of the list is given to chance."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.mode is None) is not (self.teams is None):
            raise ValueError('mode "interleave" and the two teams go together; give both or none')
        if self.teams is not None and self.teams[0] == self.teams[1]:
            raise ValueError("teams: both are the same model; name two")
        if self.teams is not None and (self.model is not None or self.exploration):
            raise ValueError("teams stand instead of a model, and without exploration; leave those out")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The versions that it needs beside the champion."""
        return tuple(version for version in (self.model, *(self.teams or ())) if version is not None)

    @property
    def decides(self) -> bool:
        """Whether it changes the list that its users get."""
        return self.model is not None or self.mode is not None or self.exploration > 0


class Namespace(Defined):
    """A part of a space that experiments share out: who is in one part is in no other. `start` ≤ n < `end`."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: Key
    start: Share = Field(alias="from")
    end: Share = Field(alias="to")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.start >= self.end:
            raise ValueError("is empty: `from` must be below `to`")
        return self


class Holdout(Defined):
    """Users kept out of every experiment of the group, `share` of all: the same ones in each of them."""

    group: Key
    share: Share


class Targeting(Defined):
    """Who may take part, by the user resource. What it does not say keeps a user out, wherever it is asked for."""

    attributes: dict[Name, Value | Annotated[list[Value], Field(min_length=1, max_length=100)]] = Field(
        default={}, max_length=16, description="Of the user resource: the value, or any of a list."
    )
    new_users_only: StrictBool = Field(default=False, description="First seen after the phase began.")
    first_seen_at_least_days: Days | None = Field(default=None, description="Days since first seen, at least.")
    first_seen_at_most_days: Days | None = Field(default=None, description="At most.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        least, most = self.first_seen_at_least_days, self.first_seen_at_most_days
        if least is not None and most is not None and least > most:
            raise ValueError("nobody was first seen so long ago and so lately: at_least_days is above at_most_days")
        return self


MetricName: TypeAlias = Literal[
    "ctr",
    "views",
    "positives",
    "completion",
    "active_days",
    "sessions",
    "hides",
    "reports",
    "unsubscribes",
    "survey",
]
"""Those of `recsvc.analysis.metrics`, which the service does not import: a misspelt one is refused at once."""


class Guardrail(Defined):
    """A metric that must not get worse by more than `margin`, relative to the control."""

    metric: MetricName
    margin: Share = 0.0


class Phase(Defined):
    """A time with one way of assigning: `weights` by variant, the latest `coverage`. Numbered from 1."""

    seed: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    weights: dict[Key, float]
    coverage: Share


class Definition(Defined):
    """What people say of an experiment."""

    key: Key
    description: Annotated[str, StringConstraints(strict=True, max_length=2_000)] = ""
    unit: Literal["user", "unit_id"] = Field(
        default="user", description="Whose id is hashed: the user's, or the `unit_id` that a request brings."
    )
    variants: Annotated[tuple[Variant, ...], Field(min_length=2, max_length=MAX_VARIANTS)]
    control: Key | None = Field(default=None, description="The variant that others are compared with; null: the first.")
    coverage: Share = Field(default=1.0, description="Share of the units that take part.")
    namespace: Namespace | None = None
    holdout: Holdout | None = None
    targeting: Targeting | None = None
    forced: dict[UserId, Key] = Field(
        default={},
        max_length=MAX_FORCED,
        description="Users who get a variant for testing; the analysis leaves them out.",
    )
    seed: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)] | None = Field(
        default=None, description="What the first phase hashes with; null: chosen when the experiment is made."
    )
    primary_metric: MetricName | None = None
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=20)] = ()
    outcome_days: Annotated[int, Field(strict=True, ge=1, le=90)] = Field(
        default=7, description="Days after a user's exposure that count for the user's outcome."
    )

    @field_validator("variants")
    @classmethod
    def _distinct_and_weighted(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        twice = [key for key, number in Counter(variant.key for variant in variants).items() if number > 1]
        if twice:
            raise ValueError(f"there are two variants {twice[0]!r}; rename one")
        if not any(variant.weight for variant in variants):
            raise ValueError("all weights are 0; give at least one variant a weight")
        return variants

    @model_validator(mode="after")
    def _names_its_variants(self) -> Self:
        known = {variant.key for variant in self.variants}
        named = [("control", self.control), *((f"forced: {user!r}", key) for user, key in self.forced.items())]
        for where, key in named:
            if key is not None and key not in known:
                raise ValueError(f"{where}: there is no variant {key!r}; there are {', '.join(sorted(known))}")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """By variant, adding up to 1."""
        total = sum(variant.weight for variant in self.variants)
        return {variant.key: variant.weight / total for variant in self.variants}


class Experiment(Definition):
    """The definition with what became of it. `revision` grows by one with every change, and over deletions."""

    seed: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)]
    state: Literal["draft", "running", "stopped", "archived"] = "draft"
    phases: Annotated[tuple[Phase, ...], Field(max_length=MAX_PHASES)] = ()
    revision: Annotated[int, Field(ge=1)] = 1
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @model_validator(mode="after")
    def _runs_in_a_phase(self) -> Self:
        open_phases = [place for place, phase in enumerate(self.phases, start=1) if phase.ended_at is None]
        if open_phases != ([len(self.phases)] if self.state == "running" else []):
            wanted = "the last of its phases is open" if self.state == "running" else "no phase is open"
            raise ValueError(
                f"phases: of an experiment that is {self.state}, {wanted} (without ended_at), and no other"
            )
        return self
