"""Definitions as files: written when they are new or other than before, and never at the cost of answers."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from recsvc.experiments import changes
from recsvc.experiments.definition import Experiment
from recsvc.experiments.written import DefinitionFiles
from tests.experiments.defined import NOW, running


def test_a_definition_is_read_back_and_follows_its_changes(tmp_path: Path) -> None:
    files, file = DefinitionFiles(tmp_path), tmp_path / "experiments" / "x.json"
    experiment = running("x")
    files.write([experiment, running("y")])
    assert Experiment.model_validate_json(file.read_bytes()) == experiment
    stopped = changes.stopped(experiment, NOW + timedelta(days=1))
    files.write([stopped])
    assert Experiment.model_validate_json(file.read_bytes()) == stopped
    assert (tmp_path / "experiments" / "y.json").exists()


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    files, experiment = DefinitionFiles(tmp_path), running("x")
    files.write([experiment])
    (tmp_path / "experiments" / "x.json").unlink()
    files.write([experiment.model_copy()])
    assert not (tmp_path / "experiments" / "x.json").exists()


def test_a_disk_that_refuses_is_told_of_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, place = DefinitionFiles(tmp_path), tmp_path / "experiments"
    place.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        files.write([running("x")])
    assert "experiment x is not written for reports" in caplog.text
    place.unlink()
    files.write([running("x")])
    assert (place / "x.json").exists()
