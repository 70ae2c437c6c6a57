"""The file of experiments."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.experiments.assignment import Assigner, Who
from recsvc.experiments.errors import FileInvalid
from recsvc.experiments.file import read_experiments

WHOLE = """
[[experiment]]
key = "ranker-7"
state = "running"
coverage = 0.5
[[experiment.variants]]
key = "control"
[[experiment.variants]]
key = "treatment"
weight = 3
[[experiment.phases]]
seed = "ranker-7"
started_at = 2026-11-27T00:00:00Z
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "experiments.toml"
    path.write_text(text, "utf-8")
    return path


def test_what_is_in_the_file_runs(tmp_path: Path) -> None:
    (experiment,) = read_experiments(written(tmp_path, WHOLE))
    assert (experiment.state, experiment.phases[0].coverage) == ("running", 0.5)
    assert experiment.phases[0].weights == {"control": 0.25, "treatment": 0.75}
    assert len(Assigner([experiment]).assign(Who("u3")).assignments) in (0, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[experiment", "is not TOML"),
        ("[other]\nx = 1", "'other'"),
        ("[experiment]\nx = 1", "as one table"),
        (WHOLE.replace("weight = 3", "weight = -3"), r"\[\[experiment\]\] 1 \(ranker-7\): variants\[1\]\.weight: "),
        (WHOLE.replace("coverage", "covrage"), r"1 \(ranker-7\): covrage: "),
        (WHOLE.partition("[[experiment.phases]]")[0], "1 .ranker-7.: phases: of an experiment that is running"),
        (WHOLE.replace("started_at = 2026-11-27T00:00:00Z", ""), r"phases\[0\]\.started_at: "),
        (WHOLE + WHOLE, "2 .ranker-7.: the key is there twice"),
    ],
)
def test_what_is_wrong_is_told_by_file_table_and_field(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(FileInvalid, match=told) as refused:
        read_experiments(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileInvalid, match=r"nowhere\.toml"):
        read_experiments(tmp_path / "nowhere.toml")
