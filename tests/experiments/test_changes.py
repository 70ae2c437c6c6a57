"""States and phases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from recsvc.experiments import changes
from recsvc.experiments.definition import Experiment
from recsvc.experiments.errors import ChangeRefused
from tests.experiments.defined import HALVES, NOW, defined, running

LATER = NOW + timedelta(days=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"variants": [HALVES[0], HALVES[1] | {"weight": 0.6}]},
        {"variants": [HALVES[0], HALVES[1] | {"model": "m-2"}]},
        {"variants": [*HALVES, {"key": "third"}]},
        {"unit": "unit_id"},
    ],
    ids=["weights", "model", "variants", "unit"],
)
def test_what_assigns_anew_begins_a_phase_under_a_new_seed(fields: dict[str, Any]) -> None:
    before = running()
    after = changes.replaced(before, defined(**fields), LATER)
    first, second = after.phases
    assert (first.ended_at, second.started_at, second.ended_at) == (LATER, LATER, None)
    assert first.seed != second.seed
    assert second.weights == after.weights


@pytest.mark.parametrize(
    "fields",
    [
        {"coverage": 0.1},
        {"targeting": {"attributes": {"country": "de"}}},
        {"forced": {"qa": "control"}},
        {"namespace": {"name": "feed", "from": 0, "to": 0.5}},
        {"description": "another"},
    ],
)
def test_what_changes_who_takes_part_keeps_the_phase(fields: dict[str, Any]) -> None:
    before = running()
    after = changes.replaced(before, defined(**fields), LATER)
    assert [phase.seed for phase in after.phases] == [before.phases[0].seed]
    assert after.phases[0].coverage == after.coverage
    assert after.revision == before.revision + 1


def test_a_draft_has_no_phase_and_takes_another_seed() -> None:
    draft = changes.created(defined(), NOW)
    changed = changes.replaced(draft, defined(seed="mine", unit="unit_id"), LATER)
    assert (changed.phases, changed.seed, changed.state) == ((), "mine", "draft")
    assert changes.started(changed, LATER).phases[0].seed == "mine"


def test_a_seed_that_was_used_is_not_changed() -> None:
    with pytest.raises(ChangeRefused, match="leave it out"):
        changes.replaced(running(), defined(seed="mine"), LATER)


def test_a_key_that_was_used_before_gets_another_seed() -> None:
    assert running().phases[0].seed != running().phases[0].seed


def test_started_again_it_is_in_a_new_phase() -> None:
    again = changes.started(changes.stopped(running(), LATER), LATER)
    assert [phase.ended_at for phase in again.phases] == [LATER, None]
    assert len({phase.seed for phase in again.phases}) == 2


Step = Callable[[Experiment, datetime], Experiment]


@pytest.mark.parametrize(
    ("state", "step", "remedy"),
    [
        ("draft", changes.stopped, "only one that is running"),
        ("running", changes.started, "only a draft or a stopped one"),
        ("running", changes.archived, "stop it first"),
        ("archived", changes.started, "only a draft or a stopped one"),
        ("archived", changes.archived, "nothing is left"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(state: str, step: Step, remedy: str) -> None:
    draft = changes.created(defined(), NOW)
    states = {"draft": draft, "running": changes.started(draft, NOW), "archived": changes.archived(draft, NOW)}
    with pytest.raises(ChangeRefused, match=remedy):
        step(states[state], LATER)


def test_an_archived_one_stays_as_it_is() -> None:
    with pytest.raises(ChangeRefused, match="another key"):
        changes.replaced(changes.archived(changes.created(defined(), NOW), NOW), defined(), LATER)


def test_the_fields_that_changed_are_named() -> None:
    before = running()
    after = changes.replaced(before, defined(coverage=0.5), LATER)
    assert changes.changed_fields(before, after) == ["coverage", "phases"]
