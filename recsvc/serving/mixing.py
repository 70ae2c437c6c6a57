"""Lists with chance in them: two models' interleaved, or places given to chance; with what the token says of items."""

from __future__ import annotations

from random import Random

from recsvc.experiments.exploring import drawn
from recsvc.experiments.interleaving import team_draft
from recsvc.serving.answer import Answer, Mixed
from recsvc.serving.degraded import Degraded
from recsvc.serving.paging import Page
from recsvc.serving.view import LiveView
from recsvc.tokens import TEAMS, Mark

_OF_THE_END = frozenset({Degraded.FILTERS, Degraded.END_OF_LIST})


def explored(
    page: Page, view: LiveView, limit: int, epsilon: float, chance: Random
) -> tuple[Page, list[tuple[str, Mark]]]:
    """`limit` items of a longer page, each place given to chance with probability `epsilon`, and their propensities."""
    places, propensities = drawn(len(page.positions), limit, epsilon, chance)
    drawn_page = Page(
        page.candidates, [page.positions[place] for place in places], page.more or len(page.positions) > len(places)
    )
    names = map(view.item_id, drawn_page.rows)
    marks = [(name, Mark(propensity=value)) for name, value in zip(names, propensities, strict=True)]
    return drawn_page, marks


def interleaved(
    first: Answer, second: Answer, limit: int, seed: str
) -> tuple[Mixed, list[str], list[tuple[str, Mark]]]:
    """The mixed list of at most `limit` items, their ids, and the team of each. The same for the same `seed`."""
    chance = Random(seed)  # noqa: S311 - nothing is secret here
    ids = item_ids(first), item_ids(second)
    picks = team_draft(ids[0], ids[1], limit, lambda: chance.random() < 0.5)
    names = [ids[team][place] for team, place in picks]
    marks = [(name, Mark(team=TEAMS[team])) for name, (team, _) in zip(names, picks, strict=True)]
    return Mixed(second, picks), names, marks


def degraded_of(first: Answer, second: Answer, names: list[str], limit: int) -> list[Degraded]:
    """What fell back in either list; that one of them is short counts only where the mixed one is."""
    parts = dict.fromkeys([*first.degraded, *second.degraded])
    return [part for part in parts if part not in _OF_THE_END or len(names) < limit]


def item_ids(answer: Answer) -> list[str]:
    """The items of its page, in order."""
    return [answer.model.view.item_id(row) for row in answer.page.rows]
