"""Exploration: every place of a list is now and then given to chance, and the log knows with which probability.

ε-greedy place by place: a place gets the best item that is left with probability 1 − ε, else any of those left, all
alike. So the item in a place had, given the items before it, the probability (1 − ε)·[it is the best left] + ε / n
with n items left. These are the conditional propensities by which estimates over whole lists weigh (McInerney et al.,
"Counterfactual evaluation of slate recommendations with sequential reward interactions", KDD 2020); ε-greedy itself:
Sutton and Barto, "Reinforcement Learning" (2nd edition), section 2.2.
"""

from __future__ import annotations

from random import Random
from typing import Final

POOL: Final = 50
"""Items among which chance chooses, the best ones; a longer page has as many as it needs."""


def drawn(candidates: int, limit: int, epsilon: float, chance: Random) -> tuple[list[int], list[float]]:
    """`limit` places of a ranking of so many candidates (or all of them), best first, in the order to show, and the
    propensity of each; `epsilon` 0 to 1."""
    left = list(range(candidates))
    places: list[int] = []
    propensities: list[float] = []
    while left and len(places) < limit:
        at = chance.randrange(len(left)) if chance.random() < epsilon else 0
        propensities.append((1 - epsilon) * (at == 0) + epsilon / len(left))
        places.append(left.pop(at))
    return places, propensities
