"""Team-draft interleaving."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from recsvc.experiments.interleaving import team_draft

IDS = st.lists(st.sampled_from([f"v{i}" for i in range(30)]), unique=True, max_size=20)


def drafted(first: list[str], second: list[str], limit: int, *, heads: bool = True) -> list[tuple[int, str]]:
    return [(team, (first, second)[team][place]) for team, place in team_draft(first, second, limit, lambda: heads)]


def test_the_smaller_team_picks_and_a_coin_decides_between_equal_ones() -> None:
    first, second = ["a", "b", "c", "d"], ["b", "e", "a", "f"]
    assert drafted(first, second, 4) == [(0, "a"), (1, "b"), (0, "c"), (1, "e")]
    assert drafted(first, second, 4, heads=False) == [(1, "b"), (0, "a"), (1, "e"), (0, "c")]


def test_an_odd_number_gives_one_more_to_whom_the_last_coin_chose() -> None:
    """The list [1, 3, 4] of teams {0: [1], 1: [3, 4]}."""
    coins = iter([True, False])
    first, second = ["1", "2", "5"], ["3", "4", "1"]
    picks = team_draft(first, second, 3, lambda: next(coins))
    assert [(team, (first, second)[team][place]) for team, place in picks] == [(0, "1"), (1, "3"), (1, "4")]


@given(IDS, IDS, st.integers(1, 40), st.integers())
def test_each_item_comes_once_in_the_order_of_its_team_and_teams_are_of_one_size(
    first: list[str], second: list[str], limit: int, seed: int
) -> None:
    chance = Random(seed)
    picks = team_draft(first, second, limit, lambda: chance.random() < 0.5)
    lists = (first, second)
    ids = [lists[team][place] for team, place in picks]
    assert len(set(ids)) == len(ids) == min(limit, len({*first, *second}))
    for team in (0, 1):
        places = [place for of, place in picks if of == team]
        assert places == sorted(places)
    # As long as both had something to pick.
    sizes = [sum(of == team for of, _ in picks) for team in (0, 1)]
    ended = any(set(lists[team]) <= set(ids) for team in (0, 1))
    assert ended or abs(sizes[0] - sizes[1]) <= 1


def test_equal_lists_stay_as_they_are_and_each_team_has_each_place_equally_often() -> None:
    ids, chance, n = [f"v{i}" for i in range(10)], Random(3), 4_000
    firsts = [0] * 10
    for _ in range(n):
        picks = team_draft(ids, ids, 10, lambda: chance.random() < 0.5)
        assert [place for _, place in picks] == list(range(10))
        for place, (team, _) in enumerate(picks):
            firsts[place] += team == 0
    assert all(abs(count - n / 2) < 5 * (n / 4) ** 0.5 for count in firsts)
