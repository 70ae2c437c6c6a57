"""Team-draft interleaving: one list of two, so that each user compares both.

Radlinski, Kurup, Joachims, "How does clickthrough data reflect retrieval quality?" (CIKM 2008): the smaller team picks
next, a coin decides between equal ones, and takes the best of its list that is not picked yet. So each team places
about half of the items, and a better list earns more of what users do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def team_draft(
    first: Sequence[str], second: Sequence[str], limit: int, coin: Callable[[], bool]
) -> list[tuple[int, int]]:
    """The picks in order, at most `limit`: (team, place in its list), team 0 or 1. The lists hold ids, each once.

    `coin` is thrown where both teams have as many: true lets the first one pick. A team whose list has ended leaves the
    rest to the other one.
    """
    lists = (first, second)
    at, sizes = [0, 0], [0, 0]
    taken: set[str] = set()
    picks: list[tuple[int, int]] = []
    while len(picks) < limit:
        for team in (0, 1):
            while at[team] < len(lists[team]) and lists[team][at[team]] in taken:
                at[team] += 1
        left = [at[team] < len(lists[team]) for team in (0, 1)]
        if not any(left):
            break
        if not all(left):
            team = left.index(True)
        elif sizes[0] != sizes[1]:
            team = 0 if sizes[0] < sizes[1] else 1
        else:
            team = 0 if coin() else 1
        picks.append((team, at[team]))
        taken.add(lists[team][at[team]])
        sizes[team] += 1
    return picks
