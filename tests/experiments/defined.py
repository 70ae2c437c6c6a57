"""Definitions for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recsvc.experiments import changes
from recsvc.experiments.definition import Definition, Experiment

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HALVES = ({"key": "control", "weight": 0.5}, {"key": "treatment", "weight": 0.5})


def defined(key: str = "x", **fields: Any) -> Definition:
    return Definition.model_validate({"key": key, "variants": HALVES, **fields})


def running(key: str = "x", *, at: datetime = NOW, **fields: Any) -> Experiment:
    return changes.started(changes.created(defined(key, **fields), at), at)


def with_models(control: str | None, treatment: str | None) -> list[dict[str, Any]]:
    return [{"key": "control", "model": control}, {"key": "treatment", "model": treatment}]
