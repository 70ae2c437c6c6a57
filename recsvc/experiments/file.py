"""Experiments in a TOML file, for those who keep them under version control."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recsvc.experiments.definition import Experiment
from recsvc.experiments.errors import FileInvalid


def read_experiments(path: Path) -> list[Experiment]:
    """The `[[experiment]]` tables of the file. Raises FileInvalid naming file, table and field.

    Without a seed an experiment hashes with its key. A phase may leave out weights and coverage.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, UnicodeDecodeError) as exc:
        raise FileInvalid(f"RECSVC_EXPERIMENTS_FILE: cannot read {path}: {exc}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise FileInvalid(f"RECSVC_EXPERIMENTS_FILE: {path} is not TOML: {exc}") from exc
    tables = raw.pop("experiment", [])
    if raw or not isinstance(tables, list):
        other = f"{next(iter(raw))!r}" if raw else "'experiment' as one table"
        raise FileInvalid(f"RECSVC_EXPERIMENTS_FILE: {path} holds {other}; write [[experiment]] tables, nothing else")
    found: dict[str, Experiment] = {}
    for number, table in enumerate(tables, start=1):
        experiment = _experiment(path, number, table, changed)
        if experiment.key in found:
            raise FileInvalid(f"{_table(path, number, table)}: the key is there twice; rename one")
        found[experiment.key] = experiment
    return list(found.values())


def _experiment(path: Path, number: int, table: Any, changed: datetime) -> Experiment:
    if not isinstance(table, dict):
        raise FileInvalid(f"{_table(path, number, {})}: is not a table")
    given = {"seed": table.get("key"), "created_at": changed, "updated_at": changed} | table
    phases = table.get("phases")
    try:
        if isinstance(phases, list):
            draft = Experiment.model_validate(given | {"phases": (), "state": "draft"})
            rest = {"weights": draft.weights, "coverage": draft.coverage}
            given["phases"] = [rest | phase if isinstance(phase, dict) else phase for phase in phases]
        return Experiment.model_validate(given)
    except ValidationError as exc:
        lines = [
            f"{_table(path, number, table)}: {_place(error['loc'])}{_message(error)}"
            for error in exc.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise FileInvalid("\n".join(lines)) from exc


def _table(path: Path, number: int, table: dict[str, Any]) -> str:
    key = table.get("key")
    return f"RECSVC_EXPERIMENTS_FILE: {path}: [[experiment]] {number}" + (f" ({key})" if isinstance(key, str) else "")


def _place(location: tuple[int | str, ...]) -> str:
    """`variants[0].weight: `, or nothing for what is about the table as a whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{text}: " if text else ""


def _message(error: Any) -> str:
    return str(error["msg"]).removeprefix("Value error, ")
