"""What a run is asked to do: where its events come from, its settings, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsvc.bundle.manifest import Manifest
from training.config import RunConfig, recorded_config
from training.errors import ConfigInvalid
from training.sources.dataset import Dataset
from training.sources.load import load


@dataclass(frozen=True, slots=True)
class Source:
    """The events of a run: `name` a known data set or a path; `columns` our field → the file's column; `with_log` adds
    those of the service's event log."""

    name: str
    data_dir: Path
    columns: dict[str, str] = field(default_factory=dict)
    catalogue: Path | None = None
    with_log: bool = False

    @property
    def title(self) -> str:
        """What a person reads."""
        return f"{self.name} + log" if self.with_log else self.name

    def read(self, config: RunConfig, state_dir: Path) -> Dataset:
        """Reads and checks the events, leaving erased users out. Raises DataMissing, DataInvalid."""
        label = "".join(c if c.isalnum() or c in "-." else "_" for c in self.name)[-80:]
        return load(
            self.name,
            data_dir=self.data_dir,
            columns=self.columns,
            catalogue=self.catalogue,
            max_reject_share=config.data.max_reject_share,
            rejects_path=state_dir / "rejects" / f"{label}.rejects.csv",
            state_dir=state_dir,
            with_log=self.with_log,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A source and the settings it is trained with: the part of a run that a manifest remembers."""

    source: Source
    config: RunConfig

    def recorded(self) -> dict[str, Any]:
        """The plan as the manifest records it (`Manifest.recipe`)."""
        return {
            "source": {
                "name": self.source.name,
                "columns": self.source.columns,
                "catalogue": str(self.source.catalogue) if self.source.catalogue else None,
                "with_log": self.source.with_log,
            },
            "config": self.config.model_dump(),
        }

    @classmethod
    def of(cls, manifest: Manifest, data_dir: Path) -> Plan:
        """The plan that a published version was made with. Raises ConfigInvalid when it cannot be read back."""
        try:
            source = manifest.recipe["source"]
            return cls(
                Source(
                    name=source["name"],
                    data_dir=data_dir,
                    columns=dict(source["columns"]),
                    catalogue=Path(source["catalogue"]) if source["catalogue"] else None,
                    with_log=bool(source.get("with_log", False)),
                ),
                recorded_config(manifest.recipe["config"], f"{manifest.version}/manifest.json"),
            )
        except (KeyError, TypeError) as exc:
            raise ConfigInvalid(
                f"{manifest.version}/manifest.json: the recipe cannot be read ({exc!r}); train again"
            ) from exc


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run writes: bundles in `models_dir`, rejects files below `state_dir`, where it reads the event log."""

    models_dir: Path
    state_dir: Path
