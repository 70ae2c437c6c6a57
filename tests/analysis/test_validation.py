"""A short run of `make validate-statistics`, so that the suite notices a broken promise."""

from __future__ import annotations

from tests.analysis.validation.checks import coverage, daily_looks, false_positives, sample_ratios
from tests.analysis.validation.interleaved import methods
from tests.analysis.validation.simulated import lifts


def test_promises_are_kept() -> None:
    findings = [*sample_ratios(10), *coverage(40), *false_positives(60), *daily_looks(20)]
    assert [found for found in findings if not found.kept] == []


def test_a_look_every_day_breaks_the_interval_for_one_look() -> None:
    """Otherwise the simulation would prove nothing of the other interval."""
    found = {finding.name: finding.hits for finding in daily_looks(40)}
    assert found["A/A, daily looks, interval for one look: ctr"] >= 5
    assert found["A/A, daily looks, always valid: ctr"] <= 2


def test_simulated_experiments_show_what_is_true_of_their_people() -> None:
    assert [found for found in lifts(12) if not found.kept] == []


def test_interleaving_sees_sooner_what_a_b_sees() -> None:
    compared, interleaved, _ = methods(5)
    assert interleaved.hits > compared.hits
    assert compared.kept
    assert interleaved.kept
