"""What the analysis has to know of an experiment."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from recsvc.analysis.errors import DefinitionInvalid
from recsvc.analysis.metrics import METRICS

_STRICT = ConfigDict(extra="forbid")
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class Variant:
    """`weight` its share of the users that take part; shares need not sum to 1."""

    name: str
    weight: float


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class Guardrail:
    """A metric that may not get worse by more than `margin`, a share of the control's mean (0.02 is two per cent)."""

    metric: str
    margin: float


@checked_dataclass(frozen=True, slots=True, config=_STRICT)
class Definition:
    """One phase of an experiment; seed or weights changed make another phase.

    Outcomes count from a user's first exposure on, over `outcome_window_days` UTC days, of which the day of exposure is
    the first. `minimum_effect` is the smallest change of the primary metric, as a share of the control's mean, that
    would matter: the report says how many users it takes to see it.
    """

    key: str
    phase: int
    variants: tuple[Variant, ...]
    control: str
    primary_metric: str
    started_at: datetime
    ended_at: datetime | None = None
    guardrails: tuple[Guardrail, ...] = ()
    outcome_window_days: int = 7
    minimum_effect: float = 0.02

    def __post_init__(self) -> None:
        """Raises ValueError naming what is wrong."""
        if not _KEY.fullmatch(self.key):
            raise ValueError(f"key: {self.key!r} is not 1 to 128 letters, digits, '.', '_' and '-'")
        names = [variant.name for variant in self.variants]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"variants: at least two with names of their own are needed, there are {names}")
        if self.control not in names:
            raise ValueError(f"control: {self.control!r} is none of the variants {names}")
        if not all(math.isfinite(v.weight) and v.weight >= 0 for v in self.variants) or self._weight(self.control) == 0:
            raise ValueError("variants: weights must be numbers of 0 and more, the control's above 0")
        for metric in (self.primary_metric, *(guardrail.metric for guardrail in self.guardrails)):
            if metric not in METRICS:
                raise ValueError(f"there is no metric {metric!r}; choose from {', '.join(METRICS)}")
        if not all(0 <= guardrail.margin < 1 for guardrail in self.guardrails) or not 0 < self.minimum_effect < 1:
            raise ValueError("guardrails, minimum_effect: margins and effects are shares, 0 to 1")
        if not 1 <= self.outcome_window_days <= 365:
            raise ValueError(f"outcome_window_days: {self.outcome_window_days} is not 1 to 365")
        if self.started_at.tzinfo is None or (self.ended_at is not None and self.ended_at.tzinfo is None):
            raise ValueError("started_at, ended_at: the time zone is missing (2026-11-22T05:00:00Z)")
        if self.ended_at is not None and self.ended_at <= self.started_at:
            raise ValueError("ended_at: it is not after started_at")

    @property
    def treatments(self) -> tuple[str, ...]:
        """The variants that are compared with the control: all others with a weight."""
        return tuple(v.name for v in self.variants if v.name != self.control and v.weight > 0)

    def _weight(self, name: str) -> float:
        return next(variant.weight for variant in self.variants if variant.name == name)


def read_definition(path: Path, phase: int | None = None) -> Definition:
    """The definition in a JSON file, or a `phase` (None: the latest) of an experiment as the service answers it.

    Raises `DefinitionInvalid` naming file and field.
    """
    try:
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and "phases" in document:
            document = _of_service(document, phase)
        return TypeAdapter(Definition).validate_json(json.dumps(document))
    except OSError as exc:
        raise DefinitionInvalid(
            f"{path}: there is no definition to read ({exc.strerror}); check the key (GET /v1/experiments lists them), "
            "or name another file"
        ) from exc
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'definition'}: {error['msg'].removeprefix('Value error, ')}"
            for error in exc.errors()
        )
        raise DefinitionInvalid(f"{path}: {problems}") from exc
    except ValueError as exc:
        raise DefinitionInvalid(f"{path}: {exc}") from exc
    except (AttributeError, KeyError, TypeError, RecursionError) as exc:
        raise DefinitionInvalid(
            f"{path}: it is not an experiment as GET /v1/experiments/KEY answers it ({type(exc).__name__}: {exc})"
        ) from exc


def _of_service(experiment: dict[str, Any], phase: int | None) -> dict[str, Any]:
    """What `GET /v1/experiments/{key}` says, as the analysis has it. Weights and times are the phase's."""
    phases = experiment["phases"]
    number = len(phases) if phase is None else phase
    if not 1 <= number <= len(phases):
        missing = f"there is no phase {number}; the experiment has 1 to {len(phases)}"
        raise ValueError(f"phases: {missing if phases else 'the experiment was never started; start it first'}")
    if experiment.get("primary_metric") is None:
        raise ValueError(f"primary_metric: the experiment has none to be judged by; PUT one of {', '.join(METRICS)}")
    chosen = phases[number - 1]
    return {
        "key": experiment["key"],
        "phase": number,
        "variants": [{"name": name, "weight": weight} for name, weight in chosen["weights"].items()],
        "control": experiment.get("control") or experiment["variants"][0]["key"],
        "primary_metric": experiment["primary_metric"],
        "guardrails": experiment.get("guardrails") or [],
        "outcome_window_days": experiment["outcome_days"],
        "started_at": chosen["started_at"],
        "ended_at": chosen.get("ended_at"),
    }


@dataclass(frozen=True, slots=True)
class Period:
    """When exposures count, Unix microseconds: from `first` on, before `last`."""

    first: int
    last: int


def period_of(definition: Definition) -> Period:
    """The period of a definition, open-ended while the experiment runs."""
    ended = definition.ended_at
    return Period(_micros(definition.started_at), 2**62 if ended is None else _micros(ended))


def _micros(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
