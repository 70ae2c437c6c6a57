"""The bodies of experiments: what is sent, and what answers hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsvc.api.parameters import Id
from recsvc.api.schemas import Asked
from recsvc.experiments.definition import Definition, Experiment, Key

MAX_PREVIEWED: Final = 1_000

_EXAMPLE: Final[dict[str, Any]] = {
    "description": "Does the blend keep people longer?",
    "variants": [
        {"key": "control", "weight": 0.5},
        {"key": "treatment", "weight": 0.5, "model": "20261122T050100Z-3f9ac2"},
    ],
    "coverage": 0.2,
    "primary_metric": "ctr",
}
_SHOWN: Final = {"key": "ranker-7", "state": "draft", "revision": 1, "phases": [], "read_only": False}


class ExperimentBody(Definition):
    """What is defined of an experiment; what is not sent has its default. What only answers hold is ignored, so that
    an answer may be changed and sent back."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    key: Key | None = Field(default=None, description="If sent, the one of the address.")  # type: ignore[assignment]
    state: Any = Field(default=None, exclude=True)
    phases: Any = Field(default=None, exclude=True)
    revision: Any = Field(default=None, exclude=True)
    created_at: Any = Field(default=None, exclude=True)
    updated_at: Any = Field(default=None, exclude=True)
    read_only: Any = Field(default=None, exclude=True)


class ExperimentShown(Experiment):
    """An experiment with its state and phases. `read_only` where it comes from the file of experiments."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE | _SHOWN]})

    read_only: bool


class ExperimentList(BaseModel):
    """Every experiment, by key."""

    max_running: int = Field(description="Experiments that may run at a time.")
    experiments: list[ExperimentShown]


class AuditEntry(BaseModel):
    """One change: what was done, and of which state, revision and phase the experiment is since."""

    at: datetime
    action: Literal["put", "start", "stop", "archive", "delete"]
    state: str | None = Field(description="Null once it was deleted.")
    revision: int
    phase: int = Field(description="How many phases there were.")
    changed: list[str] = Field(description="The fields that are others than before.")


class Audit(BaseModel):
    """What was changed, oldest first; the last 500 changes."""

    key: str
    entries: list[AuditEntry]


class PreviewBody(Asked):
    """Users of whom to tell what the experiment makes of them. `user_ids` stand for unit ids where it hashes those."""

    user_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_PREVIEWED)]


class Previewed(BaseModel):
    """`variant` null: the user is not in it, and `left` says why."""

    user_id: str
    variant: str | None
    forced: bool = False
    left: Literal["holdout", "targeting", "namespace", "coverage", "no_unit_id", "another_experiment"] | None = None


class Preview(BaseModel):
    """What becomes of each user, and how many are in each variant."""

    key: str
    phase: int
    counts: dict[str, int]
    results: list[Previewed]
