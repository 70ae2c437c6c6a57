"""Who is in which variant."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from recsvc.experiments import changes
from recsvc.experiments.assignment import NOTHING_ASSIGNED, Assigned, Assigner, Assignment, Left, Placing, Who, ranges
from recsvc.experiments.definition import Experiment
from recsvc.experiments.targeting import NO_TRAITS, Traits
from tests.experiments.defined import NOW, running, with_models

STARTED = NOW.timestamp()


def place(experiment: Experiment, user: str, traits: Traits = NO_TRAITS, now: float = STARTED) -> str | Left:
    found = Placing(experiment).place(Who(user), traits, now)
    return found.variant.key if isinstance(found, Assignment) else found


def users(number: int) -> list[str]:
    return [f"user-{i}" for i in range(number)]


@pytest.mark.parametrize(
    ("weights", "coverage", "expected"),
    [
        ([0.5, 0.5], 1.0, [(0, 0.5), (0.5, 1)]),
        ([0.5, 0.5], 0.5, [(0, 0.25), (0.5, 0.75)]),
        ([0.5, 0.5], 0.0, [(0, 0), (0.5, 0.5)]),
        ([0.4, 0.6], 1.0, [(0, 0.4), (0.4, 1)]),
    ],
)
def test_ranges_are_growthbooks(weights: list[float], coverage: float, expected: list[tuple[float, float]]) -> None:
    """packages/sdk-js/test/cases.json, key `getBucketRange`."""
    assert ranges(weights, coverage) == expected


def test_a_million_ids_fall_into_the_variants_by_their_weights() -> None:
    shares = {"a": 0.34, "b": 0.33, "c": 0.33}
    experiment = running(variants=[{"key": key, "weight": weight} for key, weight in shares.items()], seed="million")
    placing = Placing(experiment)
    n = 1_000_000
    counts = dict.fromkeys(shares, 0)
    for i in range(n):
        found = placing.place(Who(f"u{i}"), NO_TRAITS, STARTED)
        assert isinstance(found, Assignment)
        counts[found.variant.key] += 1
    # Five standard deviations.
    for key, share in shares.items():
        assert abs(counts[key] - n * share) < 5 * np.sqrt(n * share * (1 - share))


def test_two_experiments_are_independent_of_each_other() -> None:
    one, other = Placing(running("one", seed="one")), Placing(running("other", seed="other"))
    n = 20_000
    both = sum(
        isinstance(a := one.place(Who(user), NO_TRAITS, 0), Assignment)
        and isinstance(b := other.place(Who(user), NO_TRAITS, 0), Assignment)
        and a.variant.key == b.variant.key
        for user in users(n)
    )
    assert abs(both - n / 2) < 5 * np.sqrt(n / 4)


def test_a_change_of_coverage_moves_nobody_between_variants() -> None:
    narrow, wide = running(coverage=0.2, seed="s"), running(coverage=0.7, seed="s")
    before = {user: place(narrow, user) for user in users(20_000)}
    inside = {user for user, variant in before.items() if variant != Left.COVERAGE}
    assert 0.18 < len(inside) / len(before) < 0.22
    assert all(place(wide, user) == before[user] for user in inside)
    assert 0.68 < sum(place(wide, user) != Left.COVERAGE for user in before) / len(before) < 0.72


def test_a_new_phase_assigns_independently_of_the_one_before() -> None:
    first = running(seed="s")
    second = changes.started(changes.stopped(first, NOW), NOW)
    n = 20_000
    same = sum(place(first, user) == place(second, user) for user in users(n))
    assert abs(same - n / 2) < 5 * np.sqrt(n / 4)


def test_namespaces_part_users() -> None:
    left = running("left", namespace={"name": "feed", "from": 0, "to": 0.4})
    right = running("right", namespace={"name": "feed", "from": 0.4, "to": 1})
    for user in users(2_000):
        assert [place(left, user), place(right, user)].count(Left.NAMESPACE) == 1


def test_the_same_users_are_held_out_of_a_group() -> None:
    held = {"group": "everything", "share": 0.1}
    one, other = running("one", holdout=held), running("other", holdout=held)
    out = {user for user in users(5_000) if place(one, user) == Left.HOLDOUT}
    assert out == {user for user in users(5_000) if place(other, user) == Left.HOLDOUT}
    assert 400 < len(out) < 600


def test_a_forced_user_has_the_variant_whatever_else_is_said() -> None:
    experiment = running(coverage=0.0, holdout={"group": "g", "share": 1.0}, forced={"qa": "treatment"})
    found = Placing(experiment).place(Who("qa"), NO_TRAITS, STARTED)
    assert isinstance(found, Assignment)
    assert (found.variant.key, found.forced) == ("treatment", True)
    assert place(experiment, "other") == Left.HOLDOUT


def test_the_unit_id_is_hashed_where_the_unit_is_one() -> None:
    by_unit, by_user = Placing(running(unit="unit_id", seed="s")), Placing(running(seed="s"))
    assert by_unit.place(Who("u1"), NO_TRAITS, STARTED) == Left.NO_UNIT
    for device in users(100):
        found, expected = by_unit.place(Who("u1", device), NO_TRAITS, 0), by_user.place(Who(device), NO_TRAITS, 0)
        assert isinstance(found, Assignment)
        assert isinstance(expected, Assignment)
        assert found.variant.key == expected.variant.key


class TestTargeting:
    def test_attributes_are_equal_or_in_the_list(self) -> None:
        experiment = running(targeting={"attributes": {"country": ["de", "at"], "pro": True, "level": 3}})
        fitting = {"country": "at", "pro": True, "level": 3.0}
        assert place(experiment, "u", Traits(fitting)) != Left.TARGETING
        for other in ({"country": "fr"}, {"pro": False}, {"pro": 1.0}, {"level": 4.0}):
            assert place(experiment, "u", Traits(fitting | other)) == Left.TARGETING
        assert place(experiment, "u") == Left.TARGETING

    def test_new_users_are_those_first_seen_in_the_phase(self) -> None:
        experiment = running(targeting={"new_users_only": True})
        later = STARTED + 90 * 86_400
        assert place(experiment, "u", Traits({}, STARTED + 1), later) != Left.TARGETING
        assert place(experiment, "u", Traits({}, STARTED - 1), later) == Left.TARGETING
        assert place(experiment, "u", Traits({}, None), later) == Left.TARGETING

    def test_days_since_first_seen_have_bounds(self) -> None:
        experiment = running(targeting={"first_seen_at_least_days": 7, "first_seen_at_most_days": 30})
        inside = [place(experiment, "u", Traits({}, STARTED - days * 86_400)) for days in (6.9, 7, 30, 30.1)]
        assert [variant == Left.TARGETING for variant in inside] == [True, False, False, True]


class TestSeveral:
    def test_an_observing_experiment_is_beside_others(self) -> None:
        assigner = Assigner([running("a"), running("b")])
        assigned = assigner.assign(Who("u1"))
        assert [found.experiment for found in assigned.assignments] == ["a", "b"]
        assert assigned.decisive is None

    def test_of_those_that_decide_on_the_list_the_first_started_has_the_user(self) -> None:
        deciding = with_models(None, "m-2")
        second = running("a", variants=deciding, at=NOW + timedelta(seconds=1))
        first = running("b", variants=deciding, coverage=0.5)
        assigner = Assigner([second, first, running("c")])
        for user in users(200):
            assigned = assigner.assign(Who(user))
            inside = place(first, user) != Left.COVERAGE
            assert assigned.decisive is not None
            assert assigned.decisive.experiment == ("b" if inside else "a")
            assert len(assigned.assignments) == 2
            assert (assigner.outcome(second, Who(user), NO_TRAITS, 0) == Left.TAKEN) is inside

    def test_a_chosen_variant_stands_first(self) -> None:
        assigner = Assigner(
            [running("a", variants=with_models(None, "m-2")), running("b", variants=with_models("m-3", None))]
        )
        placing = assigner.placing("b")
        assert placing is not None
        assigned = assigner.assign(Who("u1"), chosen=placing.variant("control", forced=True))
        assert [(found.experiment, found.forced) for found in assigned.assignments] == [("b", True)]

    def test_a_forced_user_has_the_variant_though_an_earlier_experiment_would_decide(self) -> None:
        deciding = with_models("m-1", "m-2")
        first = running("a", variants=deciding)
        second = running("b", variants=deciding, forced={"qa": "treatment"}, at=NOW + timedelta(seconds=1))
        assigner = Assigner([first, second])
        assert [found.experiment for found in assigner.assign(Who("qa")).assignments] == ["b"]
        assert [found.experiment for found in assigner.assign(Who("u1")).assignments] == ["a"]

    def test_what_does_not_run_assigns_nobody(self) -> None:
        draft = changes.created(running(), NOW)
        assert Assigner([draft, changes.stopped(running("y"), NOW)]).assign(Who("u1")) is NOTHING_ASSIGNED

    def test_the_same_assignments_are_one_object(self) -> None:
        assigner = Assigner([running("a"), running("b")])
        found = {id(assigner.assign(Who(user))) for user in users(200)}
        assert len(found) == 4

    def test_a_fallback_is_that_of_the_experiment_that_decides(self) -> None:
        assigned: Assigned = Assigner([running("a"), running("b", variants=with_models("m-1", "m-2"))]).assign(
            Who("u1")
        )
        assert [arm.fallback for arm in assigned.arms] == [False, False]
        assert [(arm.experiment, arm.fallback) for arm in assigned.fallen_back] == [("a", False), ("b", True)]

    def test_the_models_of_running_experiments_are_known(self) -> None:
        draft = changes.created(running("d", variants=with_models("m-9", None)), NOW)
        assert Assigner([running("a", variants=with_models("m-1", None)), draft]).models == {"m-1"}
