"""The versions that experiments need: the service writes every definition that it knows to the state directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.errors import DataInvalid


def versions_in_use(state_dir: Path) -> dict[str, str]:
    """The versions that variants of running experiments serve, each with the key of one of them.

    Raises DataInvalid for a definition that cannot be read: it could name any version.
    """
    found: dict[str, str] = {}
    for path in sorted((state_dir / "experiments").glob("*.json")):
        try:
            definition = json.loads(path.read_bytes())
            if definition.get("state") == "running":
                found |= dict.fromkeys(_named(definition["variants"]), path.stem)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataInvalid(
                f"{path}: it is no definition of an experiment ({type(exc).__name__}: {exc}), so it is not known which "
                "models are in use; remove or mend the file"
            ) from exc
    return found


def _named(variants: list[dict[str, Any]]) -> list[str]:
    named = [version for variant in variants for version in (variant.get("model"), *(variant.get("teams") or ()))]
    return [version for version in named if version is not None]
