"""Lists of users, over a real Redis: whose are their own, and whose are everybody's."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import redis

from recsvc.bundle.types import Interactions
from recsvc.catalog.live import LiveItem, LiveItems
from recsvc.events.schema import EVENT_TYPES
from recsvc.serving.cache import CandidateCache
from recsvc.serving.candidates import Source
from recsvc.serving.computing import Computing
from recsvc.serving.personal import PersonalLists
from recsvc.serving.served import ServedModel
from recsvc.store.connection import connect
from recsvc.store.pipeline import ScriptPipeline
from recsvc.store.profiles import Profiles
from recsvc.store.user_state import UserState
from recsvc.telemetry import Telemetry
from tests.builders import AS_OF, make_bundle
from tests.redis_process import RedisProcess

SULLEN = "u002"
"""A user of the model who liked nothing."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    bundle = make_bundle(tmp_path_factory.mktemp("models"))
    own = bundle.interactions
    confidence = own.confidence.copy()
    row = bundle.users.row_of(SULLEN)
    assert row is not None
    span = slice(int(own.indptr[row]), int(own.indptr[row + 1]))
    confidence[span] = -abs(confidence[span])
    return ServedModel(replace(bundle, interactions=Interactions(own.indptr, own.items, confidence)))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def with_lists(
    url: str,
    scenario: Callable[[PersonalLists, ScriptPipeline], Awaitable[None]],
    clock: Callable[[], float] = lambda: AS_OF,
) -> None:
    async def run() -> None:
        connection = connect(url, timeout_milliseconds=500)
        pipeline = ScriptPipeline(connection)
        cache = CandidateCache(
            UserState(pipeline, EVENT_TYPES, list_ttl_seconds=600), Telemetry(), new_items_seconds=10
        )
        with ThreadPoolExecutor(2) as executor:
            lists = PersonalLists(cache, Computing(executor, Telemetry(), most=100), clock)
            try:
                await scenario(lists, pipeline)
            finally:
                await lists.close()
                await cache.close()
                await pipeline.aclose()
                await connection.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("redis_is", ["there", "away"])
def test_what_a_user_who_likes_nothing_disliked_is_hidden_in_the_list_of_everybody(
    model: ServedModel, redis_server: RedisProcess, redis_is: str
) -> None:
    history = model.history(SULLEN)
    assert history is not None
    if redis_is == "away":
        redis_server.kill()

    async def scenario(lists: PersonalLists, _: ScriptPipeline) -> None:
        found = await lists.get(model, SULLEN, (), 300)
        everybodys = await lists.get(model, "nobody", (), 300)
        assert found.candidates is everybodys.candidates
        assert found.hidden == frozenset(history.items.tolist())
        assert everybodys.hidden == frozenset()
        assert found.cached == everybodys.cached == (redis_is == "there")

    with_lists(redis_server.url, scenario)


@pytest.mark.parametrize("item", ["new", "v001"])
def test_newcomers_get_an_item_once_its_date_of_publication_is_reached(
    model: ServedModel, redis_url: str, item: str
) -> None:
    items, now = LiveItems(), AS_OF
    followed = ServedModel(model.bundle, items)
    items.put(LiveItem(item, categories=("boats",), published_at=AS_OF + 30, updated_at=AS_OF))
    followed.view.refresh()

    async def scenario(lists: PersonalLists, _: ScriptPipeline) -> None:
        nonlocal now
        before = await lists.get(followed, "nobody", ("boats",), 100)
        assert len(before.candidates) == 0
        now += 29
        assert (await lists.get(followed, "nobody", ("boats",), 100)).candidates is before.candidates
        now += 1
        after = await lists.get(followed, "nobody", ("boats",), 100)
        assert [followed.view.item_id(int(row)) for row in after.candidates.rows] == [item]
        now += 1000
        assert (await lists.get(followed, "nobody", ("boats",), 100)).candidates is after.candidates

    with_lists(redis_url, scenario, clock=lambda: now)


def test_users_nothing_is_known_of_leave_no_key(model: ServedModel, redis_url: str, client: redis.Redis) -> None:
    stranger = f"stranger-{secrets.token_hex(4)}"

    async def scenario(lists: PersonalLists, _: ScriptPipeline) -> None:
        for user in (stranger, SULLEN):
            await lists.get(model, user, (), 100)

    with_lists(redis_url, scenario)
    assert [key for key in client.scan_iter("*") if stranger.encode() in key or SULLEN.encode() in key] == []


def test_a_list_that_is_a_users_own_is_cached(model: ServedModel, redis_url: str, client: redis.Redis) -> None:
    user = f"user-{secrets.token_hex(4)}"

    async def scenario(lists: PersonalLists, pipeline: ScriptPipeline) -> None:
        await Profiles(pipeline).put(user, b'{"interests": ["travel"]}')
        found = await lists.get(model, user, (), 100)
        assert Source.ALS not in found.candidates.sources
        codes = found.candidates.reasons[:75, 0]
        assert {model.view.category_name(code) for code in codes.tolist()} == {"travel"}

    with_lists(redis_url, scenario)
    (key,) = client.scan_iter(f"*:rec:{user}")
    assert len(client.hgetall(key)) == 1
