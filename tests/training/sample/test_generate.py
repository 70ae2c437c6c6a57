"""The generated community has the properties that its model promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from training.sample.generate import Community, generate

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def community() -> Community:
    return generate(3, n_users=600, n_items=900, days=40)


def times(table: Any, column: str) -> Any:
    return table.column(column).cast("int64").to_numpy()


def of_type(community: Community, name: str) -> Any:
    return community.events.filter(pc.equal(community.events.column("type"), name))


def test_the_same_seed_gives_the_same_community_and_another_seed_another() -> None:
    first, again, other = (generate(seed, n_users=50, n_items=80, days=10) for seed in (1, 1, 2))
    for name in ("events", "items", "true_users", "true_items"):
        assert getattr(first, name).equals(getattr(again, name))
    assert not first.events.equals(other.events)
    assert first.items.column("title").to_pylist() != other.items.column("title").to_pylist()


def test_events_are_in_time_order_within_the_days_and_have_ids_of_their_own(community: Community) -> None:
    moments = times(community.events, "timestamp")
    end_ms = 1_793_491_200_000  # 2026-11-01T00:00:00Z
    assert (np.diff(moments) >= 0).all()
    assert moments[0] >= end_ms - 40 * DAY_MS
    assert moments[-1] < end_ms
    assert len(pc.unique(community.events.column("event_id"))) == len(community.events)


def test_completions_are_shares_and_only_views_have_them(community: Community) -> None:
    values = of_type(community, "view").column("value")
    assert values.null_count == 0
    assert pc.min(values).as_py() >= 0
    assert pc.max(values).as_py() <= 1
    assert community.events.num_rows - community.events.column("value").null_count == len(values)


def test_every_act_follows_an_impression_of_the_item_to_the_user(community: Community) -> None:
    shown: dict[tuple[str, str], int] = {}
    impressions = of_type(community, "impression")
    for user, item, moment in zip(
        impressions["user_id"].to_pylist(),
        impressions["item_id"].to_pylist(),
        times(impressions, "timestamp"),
        strict=True,
    ):
        assert (user, item) not in shown
        shown[user, item] = moment
    events = community.events
    for user, item, moment in zip(
        events["user_id"].to_pylist(), events["item_id"].to_pylist(), times(events, "timestamp"), strict=True
    ):
        assert shown[user, item] <= moment


def test_first_places_are_viewed_more_than_last_ones(community: Community) -> None:
    shown = np.bincount(of_type(community, "impression")["position"].to_numpy())
    viewed = np.bincount(of_type(community, "view")["position"].to_numpy(), minlength=len(shown))
    share = viewed[1:] / shown[1:]
    assert share[0] > 1.5 * share[9 - 1]
    assert share[:3].mean() > share[3:6].mean() > share[6:9].mean()


def test_a_few_items_get_much_of_the_attention(community: Community) -> None:
    _, counts = np.unique(of_type(community, "view")["item_id"].to_numpy(zero_copy_only=False), return_counts=True)
    top = np.sort(counts)[::-1]
    assert top[: len(top) // 10].sum() > 0.3 * top.sum()


def test_no_item_is_shown_before_it_is_published(community: Community) -> None:
    published = dict(zip(community.items["item_id"].to_pylist(), times(community.items, "published_at"), strict=True))
    shown = zip(community.events["item_id"].to_pylist(), times(community.events, "timestamp"), strict=True)
    assert all(published[item] <= moment for item, moment in shown)


def test_users_join_on_different_days_and_come_first_then(community: Community) -> None:
    joined = dict(
        zip(community.true_users["user_id"].to_pylist(), times(community.true_users, "joined_at"), strict=True)
    )
    assert len(set(joined.values())) > 30
    first_seen: dict[str, int] = {}
    for user, moment in zip(community.events["user_id"].to_pylist(), times(community.events, "timestamp"), strict=True):
        first_seen.setdefault(user, moment)
    assert first_seen.keys() == joined.keys()
    assert all(0 <= moment - joined[user] < DAY_MS for user, moment in first_seen.items())


def test_interests_drift_and_some_change(community: Community) -> None:
    first = np.array(community.true_users["first_factors"].to_pylist())[:, :16]
    last = np.array(community.true_users["last_factors"].to_pylist())[:, :16]
    cosine = (first * last).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(last, axis=1)
    interests = (first > 0).sum(axis=1)
    assert set(interests) == {1, 2, 3, 4}
    changed = ((first > 0) != (last > 0)).any(axis=1)
    assert 0.2 < changed.mean() < 0.5
    assert np.median(cosine[~changed]) > 0.9
    assert cosine[changed].mean() < cosine[~changed].mean()


def test_what_is_viewed_is_what_the_truth_prefers(community: Community) -> None:
    users = {name: row for row, name in enumerate(community.true_users["user_id"].to_pylist())}
    items = {name: row for row, name in enumerate(community.true_items["item_id"].to_pylist())}
    taste = np.array(community.true_users["first_factors"].to_pylist())
    factors = np.array(community.true_items["factors"].to_pylist())

    def mean_preference(name: str) -> float:
        rows = of_type(community, name)
        left = taste[[users[user] for user in rows["user_id"].to_pylist()]]
        right = factors[[items[item] for item in rows["item_id"].to_pylist()]]
        return float((left * right).sum(axis=1).mean())

    assert mean_preference("like") > mean_preference("view") > mean_preference("impression") + 0.5
    assert mean_preference("not_interested") < mean_preference("skip") < mean_preference("impression")


def test_titles_are_distinct_and_readable_and_creators_keep_to_few_topics(community: Community) -> None:
    titles = community.items["title"].to_pylist()
    assert len(set(titles)) == len(titles)
    assert all(title[0].isupper() or title[0].isdigit() for title in titles)
    assert not any("{" in title or "  " in title for title in titles)
    topics: dict[str, set[str]] = {}
    for creator, categories in zip(
        community.items["creator"].to_pylist(), community.items["categories"].to_pylist(), strict=True
    ):
        topics.setdefault(creator, set()).update(categories)
    assert max(len(of_creator) for of_creator in topics.values()) <= 3


@pytest.mark.parametrize(("n_users", "n_items", "days"), [(1, 1, 1), (3, 2, 2), (5, 40, 3)])
def test_the_smallest_communities_can_be_made(n_users: int, n_items: int, days: int) -> None:
    community = generate(0, n_users=n_users, n_items=n_items, days=days)
    assert len(community.items) == n_items
    assert len(community.events) >= n_users
