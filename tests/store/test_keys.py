from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from recsvc.events.schema import id_problem
from recsvc.store.keys import PARTITIONS, computation_key, partition_of, recommendations_key

ids = st.text(min_size=1, max_size=20).filter(lambda text: id_problem(text) is None)


def test_a_users_partition_is_the_same_for_good() -> None:
    # Written down, not computed: a change of the hash would lose every user's keys.
    assert [partition_of(user) for user in ("u1", "u2", "ü", "💡")] == [118, 204, 213, 144]


def test_users_spread_over_all_partitions() -> None:
    assert {partition_of(f"user-{number}") for number in range(5000)} == set(range(PARTITIONS))


@given(ids)
def test_a_users_keys_share_one_hash_tag(user: str) -> None:
    tag = f"{{p{partition_of(user):03d}}}"
    for key in (recommendations_key(user, "m", "d"), computation_key(user, "m", "d")):
        # Redis Cluster hashes what is between the first { and the first } after it.
        found = re.search(r"\{(.*?)\}", key)
        assert found is not None
        assert found[0] == tag


@given(st.tuples(ids, ids, ids), st.tuples(ids, ids, ids))
def test_different_arguments_never_share_a_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (recommendations_key(*one) == recommendations_key(*other)) == (one == other)


def test_a_colon_in_an_id_is_no_separator() -> None:
    assert recommendations_key("a:b", "c", "d") != recommendations_key("a", "b:c", "d")
    assert recommendations_key("a%3Ab", "c", "d") != recommendations_key("a:b", "c", "d")


def test_the_families_do_not_meet() -> None:
    assert recommendations_key("u", "m", "d") != computation_key("u", "m", "d")
