"""Sequence numbers read together, over a real Redis."""

from __future__ import annotations

import asyncio
import secrets

import redis

from recsvc.store.connection import connect
from recsvc.store.keys import state_key
from recsvc.store.sequences import MERGED, UNREACHABLE, Sequences


def read(url: str, *groups: list[str]) -> list[list[int]]:
    """The numbers of each group, asked for together, one group after the other over one connection."""

    async def scenario() -> list[list[int]]:
        connection = connect(url, timeout_milliseconds=1000, max_connections=1)
        sequences = Sequences(connection)
        try:
            return [await asyncio.gather(*map(sequences.of, group)) for group in groups]
        finally:
            await sequences.aclose()
            await connection.aclose()

    return asyncio.run(scenario())


def test_numbers_of_those_with_state_of_those_without_and_of_merged_ones(redis_url: str) -> None:
    known, merged, unknown = (f"user-{secrets.token_hex(6)}" for _ in range(3))
    with redis.Redis.from_url(redis_url) as client:
        client.hset(state_key(known), "seq", "41")
        client.hset(state_key(merged), mapping={"seq": "7", "into": known})
    assert read(redis_url, [known, merged, unknown, known]) == [[41, MERGED, 0, 41]]


def test_a_refused_read_leaves_no_reply_for_the_next_one(redis_url: str) -> None:
    broken, other, known = (f"user-{secrets.token_hex(6)}" for _ in range(3))
    with redis.Redis.from_url(redis_url) as client:
        client.set(state_key(broken), "no hash")
        client.hset(state_key(other), "seq", "5")
        client.hset(state_key(known), "seq", "41")
    assert read(redis_url, [broken, other], [known]) == [[UNREACHABLE] * 2, [41]]
