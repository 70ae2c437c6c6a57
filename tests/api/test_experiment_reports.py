"""Reports and sample sizes over HTTP: computed beside the service, told from what there is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from recsvc.analysis.definition import read_definition
from tests.analysis.logs import START, Log, assigned
from tests.api.experimenters import put, start
from tests.running import RunningService, wait_until

ADDRESS = "/v1/experiments/exp/report"
PAGE = {"Accept": "text/html,*/*;q=0.8"}
PATIENCE_SECONDS = 240.0


@pytest.fixture
def experimenting(tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    """A service to which it is the log's first day."""
    began = time.time()
    service = RunningService(tmp_path, redis_url, clock=lambda: START + time.time() - began)
    service.publish()
    with service:
        yield service


def write_log(state_dir: Path, users: int = 160) -> None:
    """The treatment's users view half of what they are shown, the control's a quarter."""
    log, rng = Log(state_dir), np.random.default_rng(3)
    for number in range(users):
        variant = "treatment" if number % 2 else "control"
        for shown in range(8):
            log.show(f"u{number}", 0.1 + shown / 100, variant)
            if rng.random() < (0.5 if number % 2 else 0.25):
                log.add(f"u{number}", 0.1 + shown / 100, "view", assigned(variant))
    log.add("clock", 9)
    log.flush()


def answered(
    service: RunningService, path: str, headers: dict[str, str] | None = None, **parameters: Any
) -> httpx.Response:
    """The first answer that is not 202."""
    found: list[httpx.Response] = []

    def there() -> bool:
        found.append(service.client.get(path, params=parameters, headers=headers))
        return found[-1].status_code != 202

    wait_until(there, PATIENCE_SECONDS)
    return found[-1]


class TestReport:
    def test_is_made_once_and_told_at_once_from_then_on(self, experimenting: RunningService) -> None:
        write_log(experimenting.state_dir)
        start(experimenting, "exp", primary_metric="ctr", outcome_days=2)
        first = experimenting.client.get(ADDRESS)
        assert (first.status_code, first.json()) == (202, {"refreshing": True})
        assert int(first.headers["retry-after"]) > 0
        waiting = experimenting.client.get(ADDRESS, headers=PAGE)
        assert (waiting.status_code, "refresh" in waiting.headers) == (202, True)

        told = answered(experimenting, ADDRESS).json()
        assert (told["experiment"], told["phase"], told["refreshing"]) == ("exp", 1, False)
        assert 0 <= told["age_seconds"] < 300
        assert told["report"]["exposed"]["by_variant"] == {"control": 80, "treatment": 80}
        assert told["report"]["definition"]["outcome_window_days"] == 2
        effect = told["report"]["comparisons"][0]["primary"]["effect"]
        assert effect["treatment"] > effect["control"] > 0

        page = answered(experimenting, ADDRESS, PAGE)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "script" not in page.headers["content-security-policy"]
        assert "<svg" in page.text

        # An old one is told while a newer one is made.
        file = experimenting.state_dir / "analysis" / "reports" / "exp.1.json"
        hour_ago = time.time() - 3600
        os.utime(file, (hour_ago, hour_ago))
        assert experimenting.get(ADDRESS, max_age=7200)["refreshing"] is False
        old = experimenting.get(ADDRESS)
        assert (old["refreshing"], old["report"]) == (True, told["report"])
        assert 3600 <= old["age_seconds"] < 3900
        wait_until(lambda: not experimenting.get(ADDRESS)["refreshing"], PATIENCE_SECONDS)
        assert file.stat().st_mtime > hour_ago + 60

    def test_what_cannot_be_analysed_says_why(self, experimenting: RunningService) -> None:
        start(experimenting, "exp", primary_metric="ctr")
        refused = answered(experimenting, ADDRESS)
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:recsvc:problem:experiment-analysis"
        assert "event log" in refused.json()["detail"]

    def test_a_draft_has_none(self, experimenting: RunningService) -> None:
        put(experimenting, "exp")
        refused = experimenting.client.get(ADDRESS)
        assert (refused.status_code, "never started" in refused.json()["detail"]) == (409, True)

    def test_a_phase_that_was_not_there(self, experimenting: RunningService) -> None:
        start(experimenting, "exp")
        refused = experimenting.client.get(ADDRESS, params={"phase": 2})
        assert (refused.status_code, "1 phases, not 2" in refused.json()["detail"]) == (409, True)

    def test_an_unknown_experiment(self, experimenting: RunningService) -> None:
        for what in ("report", "sample-size"):
            assert experimenting.client.get(f"/v1/experiments/nobody/{what}").status_code == 404


class TestSampleSize:
    def test_is_computed_of_the_log_also_for_a_draft(self, experimenting: RunningService) -> None:
        write_log(experimenting.state_dir)
        put(experimenting, "exp", outcome_days=9)
        told = answered(experimenting, "/v1/experiments/exp/sample-size", effect=0.1).json()
        assert (told["metric"], told["days"], told["effect"], told["users_seen"]) == ("ctr", 9, 0.1, 160)
        assert told["any_look"]["users"] > told["one_look"]["users"] > 0

    def test_an_unknown_metric(self, experimenting: RunningService) -> None:
        write_log(experimenting.state_dir)
        put(experimenting, "exp")
        refused = answered(experimenting, "/v1/experiments/exp/sample-size", metric="love")
        assert (refused.status_code, "choose from ctr" in refused.json()["detail"]) == (409, True)


def test_a_report_finds_the_definition_that_the_service_wrote(experimenting: RunningService) -> None:
    start(experimenting, "exp", primary_metric="ctr", outcome_days=2, guardrails=[{"metric": "hides"}])
    definition = read_definition(experimenting.state_dir / "experiments" / "exp.json")
    assert (definition.key, definition.phase, definition.outcome_window_days) == ("exp", 1, 2)
    assert 0 <= definition.started_at.timestamp() - START < 300
    experimenting.post("/v1/experiments/exp:stop")
    wait_until(lambda: read_definition(experimenting.state_dir / "experiments" / "exp.json").ended_at is not None)
