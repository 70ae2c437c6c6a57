"""What a run is asked to do: where its events come from, its settings, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsvc.bundle.manifest import Manifest
from training.config import RunConfig, validate_config
from training.errors import ConfigInvalid
from training.sources.dataset import Dataset
from training.sources.load import load


@dataclass(frozen=True, slots=True)
class Source:
    """The events of a run: `name` a known data set or a path; `columns` our field → the file's column."""

    name: str
    data_dir: Path
    columns: dict[str, str] = field(default_factory=dict)
    catalogue: Path | None = None

    def read(self, config: RunConfig, rejects_dir: Path) -> Dataset:
        """Reads and checks the events. Raises DataMissing, DataInvalid."""
        label = "".join(c if c.isalnum() or c in "-." else "_" for c in self.name)[-80:]
        return load(
            self.name,
            data_dir=self.data_dir,
            columns=self.columns,
            catalogue=self.catalogue,
            max_reject_share=config.data.max_reject_share,
            rejects_path=rejects_dir / f"{label}.rejects.csv",
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
                ),
                validate_config(manifest.recipe["config"], f"{manifest.version}/manifest.json"),
            )
        except (KeyError, TypeError) as exc:
            raise ConfigInvalid(
                f"{manifest.version}/manifest.json: the recipe cannot be read ({exc!r}); train again"
            ) from exc


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run writes: bundles in `models_dir`, rejects files in `rejects_dir`."""

    models_dir: Path
    rejects_dir: Path
