"""A small simulation, as `make simulate` runs it: what the report counts is what was done, to the last click."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.simulate.__main__ import main
from tests.simulate.clocked import SharedClock
from tests.simulate.compared import counts, lifts
from tests.simulate.interleaved import Sensitivity, by_comparison
from training.simulate.outcomes import Outcomes


def test_a_report_counts_what_the_simulated_users_did(tmp_path: Path) -> None:
    chosen = ["--users", "60", "--days", "4", "--arms", "popularity,als", "--no-truth", "--no-interleaving"]
    said = subprocess.run(
        [sys.executable, "-m", "tests.simulate", *chosen, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "DIFFERENT" not in said.stdout
    report = json.loads((tmp_path / "simulation.1.json").read_text())
    assert sum(report["exposed"]["by_variant"].values()) > 20
    assert report["exposed"]["crossed"] == 0
    assert (tmp_path / "simulation.1.html").stat().st_size > 1000
    assert "<svg" in (tmp_path / "retention.svg").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--arms", "als,svd"], "two or more of popularity,als,coarse,blend"), (["--users", "3"], "from 20 to 100000")],
)
def test_what_cannot_be_simulated(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(options)
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


def test_the_clock_is_read_as_it_was_set_through_another_mapping(tmp_path: Path) -> None:
    ours, theirs = SharedClock(tmp_path / "clock"), SharedClock(tmp_path / "clock")
    ours.set(1_790_208_000.25)
    assert theirs() == 1_790_208_000.25


class TestCompared:
    """Two arms of three users over two days; the report says one impression too few, and a lift."""

    LOOKED = np.array([[4, 0], [4, 2], [2, 2], [4, 0], [0, 4], [2, 2]])
    OUTCOMES = Outcomes(LOOKED, LOOKED // 2, LOOKED * 0.5, LOOKED > 0)
    ARM = np.array(["a", "a", "a", "b", "b", "b"], object)

    def report(self, low: float, high: float) -> dict[str, object]:
        effect = {
            "control": 0.5,
            "treatment": 0.4,
            "relative": {"value": -0.2, "fixed": [low, high]},
            "difference": {"value": -0.1},
            "standard_error": 0.04,
            "control_users": 3,
            "treatment_users": 3,
        }
        return {
            "definition": {"control": "a"},
            "exposed": {"impressions": int(self.LOOKED.sum()) - 1, "by_variant": {"a": 3, "b": 3}},
            "complete": {"a": 3, "b": 3},
            "comparisons": [
                {"variant": "b", "primary": {"effect": effect}, "retention": [{"name": "D1", "effect": None}]}
            ],
        }

    def test_what_was_lost_on_the_way_is_seen(self) -> None:
        lines = {line.what: line.holds for line in counts(self.report(0, 0), self.OUTCOMES, self.ARM, 1)}
        assert lines == {
            "impressions": False,
            "users of a": True,
            "complete users of a": True,
            "users of b": True,
            "complete users of b": True,
            "clicks an impression, a": True,
            "clicks an impression, b": False,
        }

    @pytest.mark.parametrize(("low", "high", "holds"), [(-0.1, 0.1, True), (-0.3, -0.1, False)])
    def test_the_true_lift_is_inside_or_not(self, low: float, high: float, holds: bool) -> None:
        (line,) = lifts(self.report(low, high), {"a": self.OUTCOMES, "b": self.OUTCOMES}, 1)
        assert (line.true, line.holds) == ("+0.0%", holds)

    def test_users_needed_go_with_the_square_of_z(self) -> None:
        found = by_comparison(self.report(0, 0))
        assert found is not None
        assert (found.winner, found.users) == ("a", 6)
        assert found.z == pytest.approx(2.5)
        assert Sensitivity("a", 2.8016, 100).users_needed == pytest.approx(100, abs=0.1)
        assert Sensitivity("a", 5.6032, 100).users_needed == pytest.approx(25, abs=0.1)
