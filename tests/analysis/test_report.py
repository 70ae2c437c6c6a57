"""From a log to the report, as an experimenter runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from recsvc.analysis.__main__ import REFUSED, main
from recsvc.experiments.definition import Experiment
from tests.analysis.logs import Log, assigned

Write = Callable[..., Path]

DEFINITION: dict[str, Any] = {
    "key": "exp",
    "phase": 1,
    "variants": [{"name": "control", "weight": 1}, {"name": "treatment", "weight": 1}],
    "control": "control",
    "primary_metric": "ctr",
    "started_at": "2026-09-24T00:00:00Z",
    "guardrails": [{"metric": "active_days", "margin": 0.2}, {"metric": "unsubscribes", "margin": 0.1}],
    "outcome_window_days": 2,
    "minimum_effect": 0.1,
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSVC_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def define(state: Path) -> Write:
    def write(**fields: Any) -> Path:
        file = state / "experiments" / "exp.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(DEFINITION | fields))
        return file

    return write


def simulate(state: Path, rates: dict[str, float], *, users: int = 600, lost: float = 0.0, seed: int = 5) -> Log:
    """A log in which users of a variant view what they are shown at its rate; `lost` is the part of the treatment's
    impressions that never arrive."""
    rng = np.random.default_rng(seed)
    log = Log(state)
    for number in range(users):
        user, variant = f"u{number}", "treatment" if number % 2 else "control"
        taste, day = rng.beta(8, 8) * 2, number / users * 4
        log.add(user, -3.0, "view")
        if variant == "treatment" and rng.random() < lost:
            continue
        for shown in range(12):
            at = day + shown / 100
            where = {"position": shown % 4, "source": "als" if shown % 3 else "trending", "placement": "home"}
            team = {"team": "A" if shown % 2 else "B"}
            log.add(user, at, "impression", assigned(variant), **where, **team)
            bonus = 1.5 if team["team"] == "B" else 1.0
            if rng.random() < min(1.0, rates[variant] * taste * bonus):
                log.add(user, at, "view", assigned(variant), **where, **team, value=0.5, session_id="s")
        if rng.random() < 0.5:
            log.add(user, day + 1, "like", session_id="t")
    log.add("clock", 9)
    log.flush()
    return log


def report(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "analysis" / "reports" / "exp.1.json").read_text())
    return found


def verdict(state: Path) -> str:
    return str(report(state)["comparisons"][0]["verdict"]["kind"])


class TestVerdict:
    def test_a_large_effect_is_found_and_open_guardrails_are_named(
        self, state: Path, define: Write, capsys: pytest.CaptureFixture[str]
    ) -> None:
        define()
        simulate(state, {"control": 0.15, "treatment": 0.3})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "unproven"
        out = capsys.readouterr().out
        assert "treatment is better on ctr" in out
        assert "not yet shown that unsubscribes held" in out

    def test_without_guardrails_it_is_better(self, state: Path, define: Write) -> None:
        define(guardrails=[])
        simulate(state, {"control": 0.15, "treatment": 0.3})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "better"

    def test_a_loss_is_called_worse(self, state: Path, define: Write) -> None:
        define()
        simulate(state, {"control": 0.3, "treatment": 0.15})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "worse"

    def test_a_broken_guardrail_outweighs_a_win(self, state: Path, define: Write) -> None:
        define(primary_metric="positives", guardrails=[{"metric": "ctr", "margin": 0.05}])
        simulate(state, {"control": 0.4, "treatment": 0.1})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "harmful"

    def test_no_difference_is_no_win(self, state: Path, define: Write, capsys: pytest.CaptureFixture[str]) -> None:
        define()
        simulate(state, {"control": 0.2, "treatment": 0.2})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "undecided"
        assert re.search(r"it takes about [\d,]+ more users of both arms, about \d+ days", capsys.readouterr().out)

    def test_lost_users_forbid_reading_effects(self, state: Path, define: Write) -> None:
        define()
        simulate(state, {"control": 0.15, "treatment": 0.3}, lost=0.4)
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "mismatch"
        page = (state / "analysis" / "reports" / "exp.1.html").read_text()
        assert page.index("Sample-ratio mismatch") < page.index("Primary metric")

    def test_a_handful_of_users_is_too_early(self, state: Path, define: Write) -> None:
        define()
        simulate(state, {"control": 0.15, "treatment": 0.3}, users=40)
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "too_early"

    def test_before_the_first_window_is_over_it_says_when_that_is(self, state: Path, define: Write) -> None:
        define(outcome_window_days=365)
        simulate(state, {"control": 0.15, "treatment": 0.3})
        assert main(["report", "exp"]) == 0
        assert verdict(state) == "too_early"
        page = (state / "analysis" / "reports" / "exp.1.html").read_text()
        assert "The first windows are over on 2027-09-24." in page


class TestContents:
    @pytest.fixture(autouse=True)
    def made(self, state: Path, define: Write) -> None:
        define()
        simulate(state, {"control": 0.15, "treatment": 0.3})
        assert main(["report", "exp"]) == 0

    def test_everything_is_in_it(self, state: Path) -> None:
        found = report(state)
        comparison = found["comparisons"][0]
        assert found["exposed"]["by_variant"] == {"control": 300, "treatment": 300}
        assert len(comparison["secondary"]) == 9
        assert [r["name"] for r in comparison["retention"]][:3] == ["D1", "D1 rolling", "D1–3"]
        assert {s["label"] for s in found["positions"]} == {"0", "1", "2", "3"}
        assert {s["label"] for s in found["sources"]} == {"als", "trending"}
        assert [s["name"] for s in comparison["segments"]] == ["returning", "new", "placement home"]
        assert len(comparison["looks"]) >= 3
        assert {s["variant"] for s in found["lifecycle"]} == {"control", "treatment"}

    def test_counts_are_those_of_the_log(self, state: Path) -> None:
        found = report(state)
        files = [pq.read_table(file) for file in (state / "events").rglob("*.parquet")]
        rows = [row for file in files for row in file.select(["type", "position", "experiments"]).to_pylist()]
        shown = sum(row["type"] == "impression" and row["position"] == 0 for row in rows)
        viewed = sum(row["type"] == "view" and row["position"] == 0 for row in rows)
        first = [slot for slot in found["positions"] if slot["label"] == "0"]
        assert (sum(s["impressions"] for s in first), sum(s["clicks"] for s in first)) == (shown, viewed)

    def test_interleaved_teams_are_compared(self, state: Path) -> None:
        (preference,) = report(state)["preferences"]
        assert (preference["first"], preference["second"]) == ("A", "B")
        assert preference["score"] > 0
        assert preference["t_p_value"] < 0.05

    def test_secondary_p_values_are_adjusted(self, state: Path) -> None:
        comparison = report(state)["comparisons"][0]
        tested = [r for r in [*comparison["secondary"], *comparison["retention"]] if r["effect"]]
        assert all(r["adjusted_p"] >= r["effect"]["p_value"] for r in tested)
        assert comparison["primary"]["adjusted_p"] is None

    def test_the_page_needs_nothing_from_outside(self, state: Path) -> None:
        page = (state / "analysis" / "reports" / "exp.1.html").read_text()
        assert "<script" not in page
        assert not re.search(r'(src|href)="(?!#)', page)
        assert page.count("<svg") == 2
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))

    def test_nothing_is_left_aside(self, state: Path) -> None:
        assert {file.name for file in (state / "analysis" / "reports").iterdir()} == {"exp.1.json", "exp.1.html"}

    @pytest.mark.parametrize("name", ["who.parquet", "who.csv"])
    def test_exposures_are_exported(self, tmp_path: Path, name: str) -> None:
        assert main(["exposures", "exp", "--out", str(tmp_path / name)]) == 0
        read = pq.read_table if name.endswith("parquet") else pyarrow.csv.read_csv
        rows = read(tmp_path / name).to_pylist()
        assert len(rows) == 600
        assert {row["variant"] for row in rows} == {"control", "treatment"}

    def test_sample_size_goes_by_the_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["size", "--metric", "positives", "--effect", "0.1", "--days", "9"]) == 0
        out = capsys.readouterr().out
        assert "positives over 9 days: mean 0.5" in out
        assert "of 600 users" in out


def test_names_in_the_log_are_escaped(state: Path, define: Write) -> None:
    log = Log(state)
    for number in range(200):
        variant = "treatment" if number % 2 else "control"
        log.add(f"u{number}", 0, "impression", assigned(variant), source="<script>alert(1)</script>", position=1)
        log.add(f"u{number}", 0.1, "view", *([assigned(variant)] if number % 3 else []))
    log.add("clock", 9)
    log.flush()
    define()
    assert main(["report", "exp"]) == 0
    page = (state / "analysis" / "reports" / "exp.1.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


class TestServed:
    """Definitions as the service answers them."""

    @pytest.fixture
    def served(self, define: Write) -> Callable[..., None]:
        phase = {"seed": "s", "started_at": "2026-09-24T00:00:00Z", "ended_at": None, "coverage": 1.0}
        weights = {"control": 0.5, "treatment": 0.5}
        experiment = Experiment.model_validate(
            {
                "key": "exp",
                "seed": "s",
                "state": "running",
                "variants": [{"key": "control", "weight": 3}, {"key": "treatment", "weight": 1}],
                "primary_metric": "ctr",
                "guardrails": [{"metric": "hides"}],
                "outcome_days": 2,
                "phases": [
                    phase | {"weights": weights, "ended_at": "2026-09-30T00:00:00Z"},
                    phase | {"weights": weights},
                ],
                "created_at": "2026-09-24T00:00:00Z",
                "updated_at": "2026-09-24T00:00:00Z",
            }
        )

        def write(**fields: Any) -> None:
            define().write_text(json.dumps(experiment.model_dump(mode="json") | fields))

        return write

    def test_a_phase_has_its_own_weights(self, state: Path, served: Callable[..., None]) -> None:
        served()
        simulate(state, {"control": 0.15, "treatment": 0.3})
        assert main(["report", "exp", "--phase", "1"]) == 0
        found = report(state)
        assert found["definition"]["control"] == "control"
        assert found["definition"]["outcome_window_days"] == 2
        assert found["sample_ratio"]["expected"] == {"control": 300, "treatment": 300}

    def test_the_latest_phase_is_the_default(
        self, state: Path, served: Callable[..., None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        served()
        simulate(state, {"control": 0.15, "treatment": 0.3}, users=20)
        assert main(["report", "exp"]) == REFUSED
        assert "exp, phase 2: nobody was exposed" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"phases": []}, "phases: the experiment was never started; start it first"),
            ({"primary_metric": None}, "PUT one of ctr, views"),
            ({"primary_metric": "love"}, "there is no metric 'love'"),
        ],
    )
    def test_what_cannot_be_judged(
        self, served: Callable[..., None], fields: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        served(**fields)
        assert main(["report", "exp"]) == REFUSED
        assert said in capsys.readouterr().err

    def test_another_phase_than_the_files(self, define: Write, capsys: pytest.CaptureFixture[str]) -> None:
        define()
        assert main(["report", "exp", "--phase", "2"]) == REFUSED
        assert "defines phase 1, not 2" in capsys.readouterr().err


class TestRefused:
    def test_nobody_exposed(self, state: Path, define: Write, capsys: pytest.CaptureFixture[str]) -> None:
        define()
        log = Log(state)
        log.show("qa", 0, "control", forced=True)
        log.flush()
        assert main(["report", "exp"]) == REFUSED
        assert "1 users were forced" in capsys.readouterr().err

    def test_no_definition(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", "exp"]) == REFUSED
        assert str(state / "experiments" / "exp.json") in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"primary_metric": "clicks"}, "there is no metric 'clicks'; choose from ctr"),
            ({"control": "c"}, "control: 'c' is none of the variants"),
            ({"variants": [{"name": "control", "weight": 1}]}, "at least two"),
            ({"started_at": "2026-09-24T00:00:00"}, "time zone"),
            ({"ended_at": "2026-09-23T00:00:00Z"}, "not after started_at"),
            ({"guardrails": [{"metric": "ctr", "margin": 2}]}, "shares, 0 to 1"),
            ({"outcome_window_days": 0}, "not 1 to 365"),
            ({"owner": "me"}, "owner"),
            ({"key": "../exp"}, "letters, digits"),
        ],
    )
    def test_a_wrong_definition(
        self, define: Write, fields: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        define(**fields)
        assert main(["report", "exp"]) == REFUSED
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize("text", ['{"phases": [{"weights": [1]}], "primary_metric": "ctr"}', "[" * 100_000])
    def test_no_experiment_at_all(self, state: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        file = state / "experiments" / "exp.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        assert main(["report", "exp"]) == REFUSED
        assert f"{file}: it is not an experiment" in capsys.readouterr().err

    def test_another_experiments_definition(self, define: Write, capsys: pytest.CaptureFixture[str]) -> None:
        define(key="other")
        assert main(["report", "exp"]) == REFUSED
        assert "defines 'other', not 'exp'" in capsys.readouterr().err

    def test_an_unknown_metric_to_size(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        simulate(state, {"control": 0.1, "treatment": 0.1}, users=10)
        assert main(["size", "--metric", "love"]) == REFUSED
        assert "choose from ctr" in capsys.readouterr().err


def test_the_service_does_not_import_it() -> None:
    code = "import sys, recsvc.app; sys.exit(any(name.startswith('recsvc.analysis') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
