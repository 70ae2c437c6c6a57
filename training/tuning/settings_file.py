"""Settings as a file that CONFIG= takes: what they change of the defaults and the data set's preset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.config import RunConfig


def settings_text(config: RunConfig, beside: RunConfig, comments: list[str]) -> str:
    """TOML that turns `beside` into `config`, under `comments`. Read back it gives `config` exactly."""
    lines = [f"# {comment}" for comment in comments]
    for name, values in _changes(config.model_dump(), beside.model_dump()).items():
        lines += _section(name, values)
    return "\n".join(lines) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Replaces a file at once: a reader finds the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, "utf-8")
    aside.replace(path)


def _changes(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(there.get(name), Mapping):
            if inner := _changes(value, there[name]):
                changed[name] = inner
        elif value != there.get(name):
            changed[name] = value
    return changed


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if key not in inner]
    if lines:
        lines = ["", f"[{name}]", *lines]
    for key, value in inner.items():
        lines += _section(f"{name}.{key}", value)
    return lines


def _value(value: Any) -> str:
    # JSON's text, numbers, booleans and lists are TOML's too.
    return json.dumps(value, ensure_ascii=False)
