"""Merges that end in the middle, anywhere, are completed by a repeat, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

from recsvc.store import merge_lock
from recsvc.store.errors import StoreUnavailable
from recsvc.store.merging import Merging
from recsvc.store.profiles import Profiles
from recsvc.users.errors import MergeRefused
from recsvc.users.merge import Merged, UserMerge
from recsvc.users.profiles import Profile
from tests.users.opened import Opened, run


@pytest.fixture
def user() -> str:
    return f"user-{secrets.token_hex(6)}"


def ending(kind: type[Any], step: str, *, done: bool) -> type[Any]:
    """A kind whose `step` ends as if the process did: before the step was carried out, or after."""

    async def end(self: Any, *arguments: Any) -> Any:
        if done:
            await getattr(kind, step)(self, *arguments)
        raise StoreUnavailable("the process ended here")

    return type("Ending", (kind,), {step: end})


STEPS = [
    (Merging, "seal"),
    (Merging, "apply"),
    (Merging, "finish"),
    (Profiles, "compare_and_put"),
    (Profiles, "delete"),
]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("kind", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_merge_that_ended_at_any_step_is_completed_by_a_repeat(
    redis_url: str, tmp_path: Path, user: str, kind: type[Any], step: str, done: bool
) -> None:
    async def scenario(parts: Opened) -> None:
        anonymous = f"{user}-anon"
        await parts.happen(user, "v1")
        await parts.happen(anonymous, "v2", "v3")
        await parts.profiles.change(anonymous, lambda _: Profile({"a": 1.0}, ("music",)))
        broken = ending(kind, step, done=done)(parts.merging._pipeline)
        interrupted = parts.merge(broken if kind is Merging else None, broken if kind is Profiles else None)
        with pytest.raises(StoreUnavailable):
            await interrupted.merge(anonymous, user)
        await parts.merge().merge(anonymous, user)
        assert sorted(await parts.recent(user)) == ["v1", "v2", "v3"]
        assert sorted(await parts.recent(anonymous)) == ["v1", "v2", "v3"]
        root, profile = await parts.profiles.get(anonymous)
        assert root == user
        assert profile is not None
        assert profile.interests == ("music",)
        assert await parts.merge().merge(anonymous, user) == Merged(user, changed=False, events=0)
        assert await parts.events.merged_ids(user) == {anonymous}

    run(redis_url, tmp_path, scenario)


def test_the_same_merge_many_times_at_once_moves_everything_once(redis_url: str, tmp_path: Path, user: str) -> None:
    async def scenario(parts: Opened) -> None:
        await parts.happen(f"{user}-anon", "v1", "v2")
        merge = parts.merge()
        results = await asyncio.gather(*(merge.merge(f"{user}-anon", user) for _ in range(8)))
        assert sorted(result.events for result in results) == [0] * 7 + [2]
        assert await parts.recent(user) == ["v1", "v2"]

    run(redis_url, tmp_path, scenario)


def test_a_merge_refused_changes_nothing(redis_url: str, tmp_path: Path, user: str) -> None:
    async def scenario(parts: Opened) -> None:
        merge = parts.merge()
        await parts.profiles.change(f"{user}-a", lambda _: Profile({}, ("music",)))
        await merge.merge(f"{user}-a", user)
        with pytest.raises(MergeRefused):
            await merge.merge(f"{user}-a", f"{user}-other")
        assert (await parts.profiles.get(f"{user}-other"))[1] is None
        assert (await parts.profiles.get(user))[1] is not None

    run(redis_url, tmp_path, scenario)


def test_a_chain_of_merges_ends_before_events_could_not_follow_it_any_more(
    redis_url: str, tmp_path: Path, user: str
) -> None:
    async def scenario(parts: Opened) -> None:
        merge = parts.merge()
        for number in range(4):
            await merge.merge(f"{user}-{number}", f"{user}-{number + 1}")
        await merge.merge(f"{user}-side", f"{user}-4")
        with pytest.raises(MergeRefused, match="4 merges in a row"):
            await merge.merge(f"{user}-4", f"{user}-5")
        assert (await merge.merge(f"{user}-3", f"{user}-4")).changed is False
        assert (await merge.merge(f"{user}-new", f"{user}-0")).user_id == f"{user}-4"
        assert await parts.merging.root_of(f"{user}-0") == f"{user}-4"

    run(redis_url, tmp_path, scenario)


def test_one_who_was_paused_until_the_lock_was_gone_makes_no_circle(
    redis_url: str, tmp_path: Path, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge_lock, "_LIFETIME_MS", 300)
    monkeypatch.setattr(merge_lock, "_SPARE_SECONDS", -3_600.0)  # so that only Redis can notice

    class Paused(Merging):
        async def seal(self, *arguments: Any) -> Any:
            await crossing.merge(f"{user}-b", f"{user}-a")  # gets the lock when it is gone
            return await super().seal(*arguments)

    async def scenario(parts: Opened) -> None:
        nonlocal crossing
        crossing = parts.merge()
        for name in ("a", "b"):
            await parts.happen(f"{user}-{name}", name)
        with pytest.raises(StoreUnavailable, match="took too long"):
            await parts.merge(Paused(parts.merging._pipeline)).merge(f"{user}-a", f"{user}-b")
        assert await parts.merging.root_of(f"{user}-b") == f"{user}-a"
        assert sorted(await parts.recent(f"{user}-b")) == ["a", "b"]

    crossing: UserMerge
    run(redis_url, tmp_path, scenario)


@pytest.mark.parametrize("source", ["a", "b"])
def test_users_who_were_merged_into_each_other_are_untied_by_a_merge(
    redis_url: str, tmp_path: Path, user: str, source: str
) -> None:
    a, b = f"{user}-a", f"{user}-b"

    async def scenario(parts: Opened) -> None:
        await parts.happen(a, "v1")
        await parts.happen(b, "v2")
        await parts.merging.seal(a, b, b"merged")
        await parts.merging.seal(b, a, b"merged")
        if source == "a":
            with pytest.raises(MergeRefused):
                await parts.merge().merge(a, b)
        else:
            assert (await parts.merge().merge(b, a)).user_id == a
            assert sorted(await parts.recent(b)) == ["v1", "v2"]
        assert await parts.merging.root_of(b) == a
        await parts.happen(a, "v3")

    run(redis_url, tmp_path, scenario)
