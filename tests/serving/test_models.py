"""The pool: what is opened, how often, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from recsvc.bundle.errors import BundleCorrupt, VersionUnknown
from recsvc.bundle.registry import Registry
from recsvc.serving.errors import NoModel
from recsvc.serving.models import ModelPool
from recsvc.telemetry import Telemetry
from tests.builders import publish_bundle


def with_pool(directory: Path, scenario: Callable[[ModelPool], Awaitable[None]]) -> None:
    """Runs the scenario with a pool over `directory`/models that looks at the registry only when told to."""

    async def run() -> None:
        pool = ModelPool(Registry(directory / "models"), directory / "receipts", Telemetry(), poll_seconds=3600)
        await pool.start()
        try:
            await scenario(pool)
        finally:
            await pool.close()

    asyncio.run(run())


def publish(directory: Path, *, promote: bool = False) -> str:
    version = publish_bundle(directory / "models", n_users=5, n_items=30)
    if promote:
        Registry(directory / "models").promote(version)
    return version


def test_concurrent_requests_for_a_version_open_it_once(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)
    other = publish(tmp_path)

    async def scenario(pool: ModelPool) -> None:
        found = await asyncio.gather(*(pool.get(other) for _ in range(10)))
        assert len({id(model) for model in found}) == 1
        assert found[0].version == other

    with_pool(tmp_path, scenario)


def test_few_other_versions_are_kept_and_the_latest_used_ones(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)
    a, b, c = (publish(tmp_path) for _ in range(3))

    async def scenario(pool: ModelPool) -> None:
        first, second = await pool.get(a), await pool.get(b)
        assert await pool.get(a) is first
        await pool.get(c)
        assert await pool.get(a) is first
        assert await pool.get(b) is not second

    with_pool(tmp_path, scenario)


def test_the_champion_before_is_kept_for_a_quick_return(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)

    async def scenario(pool: ModelPool) -> None:
        before = await pool.get()
        await pool.activate(publish(tmp_path))
        assert await pool.get(before.version) is before

    with_pool(tmp_path, scenario)


def test_a_champion_that_cannot_be_opened_at_the_start_leaves_the_pool_empty_and_is_replaced_by_the_next(
    tmp_path: Path,
) -> None:
    broken = publish(tmp_path, promote=True)
    (tmp_path / "models" / broken / "gram.npy").unlink()

    async def scenario(pool: ModelPool) -> None:
        assert pool.problem is not None
        assert pool.problem.version == broken
        with pytest.raises(NoModel):
            await pool.get()
        good = publish(tmp_path, promote=True)
        await pool.follow()
        assert (await pool.get()).version == good
        assert pool.problem is None

    with_pool(tmp_path, scenario)


def test_a_broken_champion_line_is_a_problem_and_the_model_in_use_stays(tmp_path: Path) -> None:
    version = publish(tmp_path, promote=True)

    async def scenario(pool: ModelPool) -> None:
        (tmp_path / "models" / "CHAMPION").write_text("no version\n")
        await pool.follow()
        assert pool.problem is not None
        assert (await pool.get()).version == version

    with_pool(tmp_path, scenario)


def test_a_version_that_cannot_be_had_is_an_error_of_its_own_request(tmp_path: Path) -> None:
    version = publish(tmp_path, promote=True)
    broken = publish(tmp_path)
    (tmp_path / "models" / broken / "index.faiss").write_bytes(b"")

    async def scenario(pool: ModelPool) -> None:
        with pytest.raises(BundleCorrupt):
            await pool.get(broken)
        with pytest.raises(VersionUnknown):
            await pool.get("20200101T000000Z-abcdef")
        assert (await pool.get()).version == version

    with_pool(tmp_path, scenario)


def test_held_versions_stay_open_until_they_are_let_go(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)
    held = [publish(tmp_path) for _ in range(3)]
    others = [publish(tmp_path) for _ in range(3)]

    async def scenario(pool: ModelPool) -> None:
        assert pool.opened(held[0]) is None
        await pool.hold(frozenset(held), 60)
        models = [pool.opened(version) for version in held]
        assert [model and model.version for model in models] == held
        for version in others:
            await pool.get(version)
        assert [pool.opened(version) for version in held] == models
        assert await pool.get(held[0]) is models[0]
        pool.let_go(frozenset(held[:1]))
        assert [pool.opened(version) is None for version in held] == [False, True, True]

    with_pool(tmp_path, scenario)


def test_a_held_version_stays_open_when_it_becomes_the_champion_and_when_it_no_longer_is(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)
    held, other = publish(tmp_path), publish(tmp_path)

    async def scenario(pool: ModelPool) -> None:
        await pool.hold(frozenset({held}), 60)
        for champion in (held, other):
            await pool.activate(champion)
            model = pool.opened(held)
            assert model is not None

    with_pool(tmp_path, scenario)


def test_a_held_version_that_cannot_be_opened_is_none_and_holds_up_nobody(tmp_path: Path) -> None:
    publish(tmp_path, promote=True)
    broken, good = publish(tmp_path), publish(tmp_path)
    (tmp_path / "models" / broken / "index.faiss").write_bytes(b"")

    async def scenario(pool: ModelPool) -> None:
        await pool.hold(frozenset({broken, good, "20200101T000000Z-abcdef"}), 60)
        assert pool.opened(broken) is None
        assert pool.opened(good) is not None

    with_pool(tmp_path, scenario)
