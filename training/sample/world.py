"""The items, creators and users of the sample, and what the users truly prefer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import Float64, Int64
from training.sample.words import FIRST_NAMES, TOPICS

END: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""The last day is 2026-10-31: a fixed date, so that the sample is the same whenever it is made."""
DAY_SECONDS: Final = 86_400.0
N_STYLES: Final = 6

TOPIC_SKEW: Final = 0.4
INTEREST_COUNTS: Final = (0.2, 0.35, 0.3, 0.15)
INTEREST_PULL: Final = 3.0
STYLE_PULL: Final = 0.9
QUALITY_SPREAD: Final = 0.6
INTEREST_CHANGES: Final = 0.35
PRESENT_AT_START: Final = 0.4
PUBLISHED_BEFORE: Final = 0.45
BACKLOG_DAYS: Final = 180.0
LIFETIME_DAYS: Final = 100.0

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Items:
    """`factors` float64 (n, n_topics + N_STYLES + 1): topic mixture, style, quality; `published` days since the
    start, negative before it; `reach` the weight with which the feed shows an item.
    """

    titles: list[str]
    creator: Int64
    creator_names: list[str]
    topic: Int64
    second_topic: Int64
    factors: Float64
    published: Float64
    reach: Float64


@dataclass(frozen=True, slots=True)
class Users:
    """`first_factors` and `last_factors` float64 (n, n_topics + N_STYLES + 1): preferences at the period's start and
    end, a straight line between; `joined`, `left` days since the start; `activity` probability of a day's visit;
    `hour` of day at which the user likes to come.
    """

    first_factors: Float64
    last_factors: Float64
    joined: Float64
    left: Float64
    activity: Float64
    hour: Float64

    def interests(self, users: Int64, progress: Float64) -> Float64:
        """Topic weights ≥ 0 of the users at those shares of the period; float64 (n, n_topics)."""
        first = self.first_factors[users, : len(TOPICS)]
        last = self.last_factors[users, : len(TOPICS)]
        weights: Float64 = first + progress[:, None] * (last - first)
        return weights

    def affinity(self, users: Int64, items: Items, rows: Int64, progress: Float64) -> Float64:
        """The truth: the users' preference for the item rows at those shares of the period; float64 (n,)."""
        factors = items.factors[rows]
        first = np.einsum("nf,nf->n", self.first_factors[users], factors)
        last = np.einsum("nf,nf->n", self.last_factors[users], factors)
        affinity: Float64 = first + progress * (last - first)
        return affinity


def topic_shares(rng: np.random.Generator) -> Float64:
    """How large a part of the community each topic is; sums to 1."""
    shares: Float64 = rng.permutation(np.arange(1, len(TOPICS) + 1) ** -TOPIC_SKEW)
    shares /= shares.sum()
    return shares


def make_items(rng: np.random.Generator, n_items: int, days: int, shares: Float64) -> Items:
    """Creators with one to three topics and a style of their own, and their videos."""
    n_topics, n_creators = len(TOPICS), max(1, n_items // 20)
    n_of = rng.integers(1, 4, size=n_creators)
    ranked = _ranked_topics(rng, n_creators, shares)
    style = rng.normal(size=(n_creators, N_STYLES))
    output = rng.lognormal(0.0, 0.6, size=n_creators)
    creator = rng.choice(n_creators, size=n_items, p=output / output.sum())
    topic = ranked[creator, rng.integers(0, n_of[creator])]
    mixed = (n_of[creator] > 1) & (rng.random(n_items) < 0.4)
    other = ranked[creator, rng.integers(0, n_of[creator])]
    second = np.where(mixed & (other != topic), other, -1)
    mixture = np.zeros((n_items, n_topics))
    rows = np.arange(n_items)
    mixture[rows, topic] = np.where(second >= 0, 0.75, 1.0)
    mixture[rows[second >= 0], second[second >= 0]] = 0.5
    own_style = 0.7 * style[creator] + 0.7 * rng.normal(size=(n_items, N_STYLES))
    quality = rng.normal(0.0, QUALITY_SPREAD, size=n_items)
    before = rng.random(n_items) < PUBLISHED_BEFORE
    before[0] = True  # a feed is never without anything to show
    published = np.where(before, -rng.random(n_items) * BACKLOG_DAYS, rng.random(n_items) * days)
    return Items(
        titles=_titles(rng, topic),
        creator=creator,
        creator_names=_creator_names(ranked[:, 0]),
        topic=topic,
        second_topic=second,
        factors=np.concatenate([mixture, own_style, quality[:, None]], axis=1),
        published=published,
        reach=np.exp(quality + 0.8 * rng.normal(size=n_items)),
    )


def make_users(rng: np.random.Generator, n_users: int, days: int, shares: Float64) -> Users:
    """Users with one to four interests, of which some change to another over the period."""
    n_topics = len(TOPICS)
    n_interests = 1 + rng.choice(len(INTEREST_COUNTS), size=n_users, p=INTEREST_COUNTS)
    ranked = _ranked_topics(rng, n_users, shares)
    slot = np.arange(len(INTEREST_COUNTS))
    strength = np.where(slot < n_interests[:, None], rng.gamma(2.0, size=(n_users, len(slot))) + 0.2, 0.0)
    rows = np.arange(n_users)[:, None]
    first = np.zeros((n_users, n_topics))
    first[rows, ranked[:, : len(slot)]] = strength
    later_topics = ranked[:, : len(slot)].copy()
    changes = np.flatnonzero(rng.random(n_users) < INTEREST_CHANGES)
    later_topics[changes, rng.integers(0, n_interests[changes])] = ranked[changes, len(slot)]
    last = np.zeros((n_users, n_topics))
    last[rows, later_topics] = strength * rng.lognormal(0.0, 0.4, size=strength.shape)
    taste = rng.normal(size=(n_users, N_STYLES)) * (STYLE_PULL / np.sqrt(N_STYLES))
    joined = np.where(rng.random(n_users) < PRESENT_AT_START, 0.0, np.floor(rng.random(n_users) * days))
    return Users(
        first_factors=_factors(first, taste),
        last_factors=_factors(last, taste),
        joined=joined,
        left=joined + 1.0 + rng.exponential(LIFETIME_DAYS, size=n_users),
        activity=rng.beta(2.0, 3.0, size=n_users),
        hour=np.array([7.5, 12.5, 20.5])[rng.choice(3, size=n_users, p=[0.2, 0.2, 0.6])],
    )


def _factors(interests: Float64, taste: Float64) -> Float64:
    """Interests scaled to one length, so that a person of many interests is no less keen; then taste; then 1."""
    scaled = INTEREST_PULL * interests / np.linalg.norm(interests, axis=1, keepdims=True)
    return np.concatenate([scaled, taste, np.ones((len(taste), 1))], axis=1)


def _ranked_topics(rng: np.random.Generator, count: int, shares: Float64) -> IntArray:
    """Topics drawn without replacement by their shares, all of them in order drawn (the Gumbel trick)."""
    keys = np.log(shares) + rng.gumbel(size=(count, len(shares)))
    return np.argsort(-keys, axis=1)


def _titles(rng: np.random.Generator, topic: Int64) -> list[str]:
    """A title for each item, no two alike: the words of its topic in a random order of their combinations."""
    titles = [""] * len(topic)
    for code, words in enumerate(TOPICS):
        rows = np.flatnonzero(topic == code).tolist()
        shape = (len(words.openings), len(words.subjects), len(words.endings))
        order = rng.permutation(int(np.prod(shape)))
        for position, row in enumerate(rows):
            round_number, combination = divmod(position, len(order))
            opening, subject, ending = np.unravel_index(order[combination], shape)
            text = words.openings[opening].format(words.subjects[subject])
            part = f", part {round_number + 1}" if round_number else ""
            titles[row] = f"{text[0].upper()}{text[1:]} {words.endings[ending]}{part}"
    return titles


def _creator_names(topic: Int64) -> list[str]:
    names: list[str] = []
    seen: dict[str, int] = {}
    for position, code in enumerate(topic.tolist()):
        name = f"{FIRST_NAMES[position % len(FIRST_NAMES)]}-{TOPICS[code].handle}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names
