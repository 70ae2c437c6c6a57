"""Guardrails, adjusted p-values and words, by cases."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from recsvc.analysis.definition import Guardrail, Variant
from recsvc.analysis.effects import Effect, effect, moments
from recsvc.analysis.guardrails import check
from recsvc.analysis.metrics import METRICS
from recsvc.analysis.multiplicity import adjusted
from recsvc.analysis.report import MetricResult
from recsvc.analysis.srm import sample_ratio
from recsvc.analysis.verdict import verdict
from recsvc.experiments.definition import MetricName

RATIO = sample_ratio({"control": 5_000, "treatment": 5_000}, [Variant("control", 1), Variant("treatment", 1)])


def shifted(metric: str, change: float, users: int = 5_000) -> Effect:
    """The effect of a relative change, exactly, on values 9 to 11."""
    values = np.tile([9.0, 10.0, 11.0], users // 3 + 1)[:users]
    column = METRICS[metric].numerator
    found = effect(METRICS[metric], moments({column: values}), moments({column: values * (1 + change)}))
    assert found is not None
    return found


class TestGuardrails:
    @pytest.mark.parametrize(
        ("metric", "change", "state"),
        [
            ("sessions", 0.05, "held"),
            ("sessions", -0.01, "held"),
            ("sessions", -0.02, "open"),
            ("sessions", -0.05, "broken"),
            ("unsubscribes", -0.05, "held"),
            ("unsubscribes", 0.05, "broken"),
        ],
    )
    def test_by_direction_and_margin(self, metric: str, change: float, state: str) -> None:
        assert check(Guardrail(metric, 0.02), shifted(metric, change)).state == state

    def test_a_loss_within_the_margin_is_still_a_loss(self) -> None:
        found = check(Guardrail("sessions", 0.1), shifted("sessions", -0.05))
        assert (found.state, found.worse) == ("held", True)

    def test_few_users_leave_it_open(self) -> None:
        assert check(Guardrail("sessions", 0.02), shifted("sessions", 0.0, users=60)).state == "open"

    def test_nothing_counted_leaves_it_open(self) -> None:
        assert check(Guardrail("sessions", 0.02), None).state == "open"


class TestAdjusted:
    def test_benjamini_hochberg(self) -> None:
        """Benjamini and Hochberg 1995, section 3.2: of fifteen p-values four are rejected at 5 %."""
        p_values = [
            *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
            *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
        ]
        found = adjusted(p_values[::-1])[::-1]
        assert sum(p < 0.05 for p in found) == 4
        assert found[0] == pytest.approx(0.0015)

    def test_none(self) -> None:
        assert adjusted([]) == []


def test_the_service_accepts_the_metrics_of_the_report_and_no_others() -> None:
    assert get_args(MetricName) == tuple(METRICS)


class TestWords:
    def said(self, change: float, users: int = 5_000, metric: str = "sessions") -> tuple[str, str]:
        chosen = METRICS[metric]
        result = MetricResult(metric, chosen.words, chosen.more_is_better, shifted(metric, change, users))
        found = verdict("treatment", RATIO, result, [], None)
        return found.kind, " ".join(found.sentences)

    def test_less_of_what_is_bad_is_better(self) -> None:
        assert self.said(-0.05, metric="hides")[0] == "better"
        assert self.said(0.05, metric="hides")[0] == "worse"

    def test_a_single_look_that_excludes_zero_is_no_win(self) -> None:
        kind, words = self.said(0.005)
        found = shifted("sessions", 0.005)
        assert found.difference.fixed[0] > 0 > found.difference.always[0]
        assert kind == "undecided"
        assert "that is no win" in words

    def test_too_early_says_when_to_look_again(self) -> None:
        nothing = MetricResult("sessions", METRICS["sessions"].words, METRICS["sessions"].more_is_better, None)
        assert "on 2026-12-04" in verdict("treatment", RATIO, nothing, [], None, "2026-12-04").sentences[-1]
        assert len(verdict("treatment", RATIO, nothing, [], None).sentences) == 1

    def test_a_mismatch_is_all_that_is_said(self) -> None:
        lost = sample_ratio({"control": 5_000, "treatment": 4_000}, [Variant("control", 1), Variant("treatment", 1)])
        metric = METRICS["sessions"]
        result = MetricResult("sessions", metric.words, metric.more_is_better, shifted("sessions", 0.5))
        found = verdict("treatment", lost, result, [], None)
        assert found.kind == "mismatch"
        assert len(found.sentences) == 1
        assert "treatment 4,000 (expected 4,500)" in found.sentences[0]
