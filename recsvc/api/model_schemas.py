"""What answers about models and the service's health hold."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from recsvc.bundle.manifest import GateResult


class ModelProblem(BaseModel):
    """Why the champion is not the model in use."""

    version: str | None
    message: str


class ModelEntry(BaseModel):
    """One version of the registry. `problem` says why its manifest cannot be read, and then nothing else is known."""

    version: str
    champion: bool
    active: bool
    problem: str | None = None
    created_at: str | None = None
    data: str | None = None
    n_users: int | None = None
    n_items: int | None = None
    n_factors: int | None = None
    gate: GateResult | None = None
    metrics: dict[str, dict[str, float]] | None = None


class Models(BaseModel):
    """The registry as this worker sees it, newest first."""

    champion: str | None
    active: str | None
    problem: ModelProblem | None
    example_users: list[str] = Field(description="A few users of the active model, to try.")
    models: list[ModelEntry]


class ActiveModel(BaseModel):
    """The model in use after the change."""

    active: str


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Check(BaseModel):
    """One thing that was looked at."""

    status: Literal["ok", "degraded", "failed"]
    detail: str
    weaker_promises: list[str] = Field(default=[], description="What the Redis in use does not promise.")


class Readiness(BaseModel):
    """Whether requests can be answered; `degraded` checks do not stand in the way."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]
