from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from recsvc.eventlog.position import PARTITIONS, partition_of
from recsvc.events.schema import id_problem
from recsvc.store import keys

ids = st.text(min_size=1, max_size=20).filter(lambda text: id_problem(text) is None)

FAMILIES = (
    keys.state_key,
    keys.recent_key,
    keys.unwanted_key,
    keys.lists_key,
    keys.profile_key,
    keys.merged_key,
    lambda user: keys.filter_key(user, 20_000, 0),
    lambda user: keys.filter_key(user, 20_000, 1),
    lambda user: keys.filter_key(user, 20_001, 0),
)


def test_a_users_partition_is_the_same_for_good() -> None:
    # Written down, not computed: a change of the hash would lose every user's keys.
    assert [partition_of(user) for user in ("u1", "u2", "ü", "💡")] == [118, 204, 213, 144]


def test_users_spread_over_all_partitions() -> None:
    assert {partition_of(f"user-{number}") for number in range(5000)} == set(range(PARTITIONS))


@given(ids)
def test_a_users_keys_share_the_hash_tag_of_the_partitions_keys(user: str) -> None:
    partition = partition_of(user)
    names = [family(user) for family in FAMILIES]
    names += [keys.log_key(partition), keys.dead_key(partition), keys.lease_key(partition)]
    for name in names:
        # Redis Cluster hashes what is between the first { and the first } after it.
        found = re.search(r"\{(.*?)\}", name)
        assert found is not None
        assert found[0] == f"{{p{partition:03d}}}"


@given(ids, ids)
def test_different_users_and_families_never_share_a_key(one: str, other: str) -> None:
    names = [(family(user), family, user) for family in FAMILIES for user in {one, other}]
    assert len({name for name, _, _ in names}) == len(names)


@given(ids)
def test_the_names_made_in_one_go_are_the_same(user: str) -> None:
    assert keys.of_events(user) == (
        (keys.state_key(user), keys.log_key(partition_of(user)), keys.recent_key(user), keys.unwanted_key(user)),
        *keys.filter_affixes(user),
    )
    assert keys.of_reads(user) == (
        keys.state_key(user),
        keys.lists_key(user),
        keys.recent_key(user),
        keys.unwanted_key(user),
        keys.profile_key(user),
    )
