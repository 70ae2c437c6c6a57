"""What a definition may say, and what is told of one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from recsvc.experiments.definition import Experiment
from tests.experiments.defined import HALVES, NOW, defined, running


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variants": HALVES[:1]}, "at least 2"),
        ({"variants": [*HALVES, HALVES[0]]}, "two variants 'control'"),
        ({"variants": [{"key": "a", "weight": 0}, {"key": "b", "weight": 0}]}, "all weights are 0"),
        ({"variants": [{"key": "a", "weight": -1}, {"key": "b"}]}, "greater than or equal to 0"),
        ({"variants": [{"key": "a", "weight": float("nan")}, {"key": "b"}]}, "finite"),
        ({"variants": [{"key": "a", "weight": "1"}, {"key": "b"}]}, "valid number"),
        ({"variants": [{"key": "a", "modle": "m"}, {"key": "b"}]}, "Extra inputs"),
        ({"variants": [{"key": "a", "mode": "interleave"}, {"key": "b"}]}, "go together"),
        ({"variants": [{"key": "a", "teams": ["m", None]}, {"key": "b"}]}, "go together"),
        ({"variants": [{"key": "a", "mode": "interleave", "teams": ["m", "m"]}, {"key": "b"}]}, "the same model"),
        (
            {"variants": [{"key": "a", "mode": "interleave", "teams": ["m", None], "model": "n"}, {"key": "b"}]},
            "instead of a model",
        ),
        ({"variants": [{"key": "a", "exploration": 0.6}, {"key": "b"}]}, "less than or equal to 0.5"),
        ({"coverage": 1.1}, "less than or equal to 1"),
        ({"key": "A:b"}, "pattern"),
        ({"key": "k" * 49}, "pattern"),
        ({"unit": "session"}, "'user' or 'unit_id'"),
        ({"control": "other"}, "control: there is no variant 'other'"),
        ({"forced": {"u1": "other"}}, "forced: 'u1': there is no variant 'other'"),
        ({"forced": {"u\n1": "control"}}, "control character"),
        ({"namespace": {"name": "n", "from": 0.5, "to": 0.5}}, "is empty"),
        ({"targeting": {"first_seen_at_least_days": 3, "first_seen_at_most_days": 2}}, "above"),
        ({"targeting": {"attributes": {"country": "\ud800"}}}, "valid string"),
        ({"targeting": {"attributes": {"country": "x" * 257}}}, "at most 256"),
        ({"targeting": {"attributes": {"minutes": 10**400}}}, "finite|valid number|too large|less than"),
        ({"targeting": {"attributes": {"minutes": [float("inf")]}}}, "finite"),
        ({"outcome_days": 0}, "greater than or equal to 1"),
        ({"guardrails": [{"metric": "hides", "margin": 2}]}, "less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        defined(**fields)


def test_weights_are_shares_of_their_sum() -> None:
    shares = defined(variants=[{"key": "a", "weight": 1}, {"key": "b", "weight": 3}]).weights
    assert shares == {"a": 0.25, "b": 0.75}


def test_an_experiment_is_read_back_as_it_was_written() -> None:
    experiment = running(
        namespace={"name": "feed", "from": 0, "to": 0.5},
        holdout={"group": "all", "share": 0.05},
        targeting={"attributes": {"country": ["de", "at"], "pro": True}, "new_users_only": True},
        forced={"qa": "treatment"},
        guardrails=[{"metric": "hides", "margin": 0.1}],
    )
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment


@pytest.mark.parametrize("state", ["draft", "stopped"])
def test_only_what_runs_has_an_open_phase(state: str) -> None:
    with pytest.raises(ValidationError, match="no phase is open"):
        Experiment.model_validate(running().model_dump() | {"state": state, "updated_at": NOW})
