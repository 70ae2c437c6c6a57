"""Definitions as files of the state directory: what reports, which are made by another process, go by."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from recsvc.bundle.files import replace_file
from recsvc.experiments.definition import Experiment

logger = logging.getLogger(__name__)

DIRECTORY_NAME: Final = "experiments"


class DefinitionFiles:
    """`experiments/KEY.json`, the latest that is known of each; those of deleted ones stay, as their events do."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / DIRECTORY_NAME
        self._written: dict[str, Experiment] = {}

    def write(self, experiments: Iterable[Experiment]) -> None:
        """Writes what is other than before. Workers of one service write the same; a file is there whole or not at all.

        Where the disk refuses it is logged and tried again with the next change: lists do not depend on it.
        """
        for experiment in experiments:
            if self._written.get(experiment.key) == experiment:
                continue
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                replace_file(self._directory / f"{experiment.key}.json", experiment.model_dump_json().encode())
            except OSError as exc:
                logger.warning("the definition of experiment %s is not written for reports: %s", experiment.key, exc)
            else:
                self._written[experiment.key] = experiment
