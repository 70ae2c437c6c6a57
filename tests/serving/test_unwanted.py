"""The schedule of what a user does not want: out for a week, then back by halves."""

from __future__ import annotations

import itertools

import pytest

from recsvc.serving.unwanted import Unwanted, multiplier

DAY = 86_400.0
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("days", "expected"),
    [(-1, 0.0), (0, 0.0), (6.99, 0.0), (7, 0.0), (14, 1 - 2**-0.5), (21, 0.5), (35, 0.75), (63, 0.9375), (80, 1.0)],
)
def test_the_multiplier_of_an_age(days: float, expected: float) -> None:
    assert multiplier(days * DAY) == pytest.approx(expected)


def test_it_only_grows() -> None:
    values = [multiplier(hours * 3_600) for hours in range(24 * 100)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(values))
    assert values[-1] == 1.0


def test_fields_of_redis_become_what_they_name() -> None:
    fields = {
        "c:c:4": NOW - 20 * DAY,
        "c:old": NOW - 100 * DAY,
        "t:cooking": NOW - 1.0,
        "r:v9": NOW - 500 * DAY,
    }
    found = Unwanted.of(fields, NOW)
    assert found.creators == {"c:4": pytest.approx(1 - 2 ** (-13 / 14))}
    assert found.topics == {"cooking": 0.0}
    assert found.items == ("v9",)
    assert found
    assert not Unwanted.of({"c:old": NOW - 100 * DAY}, NOW)
