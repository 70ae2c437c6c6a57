"""What a report says: plain values, ready for JSON and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from recsvc.analysis.definition import Definition
from recsvc.analysis.effects import Effect
from recsvc.analysis.exposed import Exposed
from recsvc.analysis.guardrails import GuardrailResult
from recsvc.analysis.interleaving import Preference
from recsvc.analysis.power import SampleSize
from recsvc.analysis.slots import Slot
from recsvc.analysis.srm import SampleRatio

VerdictKind = Literal["mismatch", "too_early", "better", "harmful", "unproven", "worse", "undecided"]


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A comparison of one metric. `effect` None where there was nothing to test; `adjusted_p` among all secondary
    comparisons of the report, None of the primary one, whose interval decides by itself."""

    name: str
    words: str
    more_is_better: bool
    effect: Effect | None
    adjusted_p: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The primary metric's effect by the users whose window was over on a UTC day."""

    day: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes to see the definition's `minimum_effect`: `more_users` of both arms beyond those there are, and the
    days until they are there at the pace of the last week (None while nobody joins)."""

    size: SampleSize
    more_users: int
    more_days: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`better` alone is a reason to ship. `harmful`: a guardrail is broken, whatever was won; `unproven`: better, with
    a guardrail that is not yet shown to hold. `sentences` say it in words."""

    kind: VerdictKind
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against the control."""

    variant: str
    verdict: Verdict
    primary: MetricResult
    secondary: Sequence[MetricResult]
    retention: Sequence[MetricResult]
    segments: Sequence[MetricResult]
    guardrails: Sequence[GuardrailResult]
    looks: Sequence[Look]
    need: Need | None


@dataclass(frozen=True, slots=True)
class DayStates:
    """Users of a variant by lifecycle state on a UTC day."""

    variant: str
    day: str
    new: int
    current: int
    resurrected: int
    dormant: int


@dataclass(frozen=True, slots=True)
class Report:
    """`as_of` the UTC day in which the log ends. Outcomes and the lifecycle are of the days before; exposures,
    positions, sources and preferences include it. `complete` users by variant whose outcome window is over."""

    definition: Definition
    as_of: str
    exposed: Exposed
    complete: dict[str, int]
    sample_ratio: SampleRatio
    comparisons: Sequence[Comparison]
    lifecycle: Sequence[DayStates]
    positions: Sequence[Slot]
    sources: Sequence[Slot]
    preferences: Sequence[Preference]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)
