"""Erasures that end in the middle are completed by a repeat; the receipt names the bundles that hold the user."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from recsvc.eventlog.tombstones import read_tombstones
from recsvc.store.erasing import Erased, Erasing
from recsvc.store.errors import StoreUnavailable
from tests.builders import publish_bundle
from tests.users.opened import Opened, run


@pytest.fixture
def user() -> str:
    return f"user-{secrets.token_hex(6)}"


class EndingErasing(Erasing):
    """Ends, as if the process did, once it erased so many."""

    left = 1

    async def erase(self, user_id: str, *, forget: bool = True) -> Erased:
        erased = await super().erase(user_id, forget=forget)
        self.left -= 1
        if self.left == 0:
            raise StoreUnavailable("the process ended here")
        return erased


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_erasure_that_ended_in_the_middle_is_completed_by_a_repeat(
    redis_url: str, tmp_path: Path, user: str, after: int
) -> None:
    async def scenario(parts: Opened) -> None:
        names = [user, f"{user}-a", f"{user}-b"]
        for name in names[1:]:
            await parts.happen(name, "v1")
            await parts.merge().merge(name, user)
        ending = EndingErasing(parts.erasing._pipeline)
        ending.left = after
        with pytest.raises(StoreUnavailable):
            await parts.erasure(ending).erase(user)
        await parts.erasure().erase(user)
        found = read_tombstones(tmp_path / "state")
        assert all(found.of(name) is not None for name in names)
        assert await parts.recent(user) == []
        assert await parts.events.merged_ids(user) == set()

    run(redis_url, tmp_path, scenario)


def test_the_receipt_names_every_bundle_that_holds_the_user_or_one_who_was_merged(
    redis_url: str, tmp_path: Path, user: str
) -> None:
    async def scenario(parts: Opened) -> None:
        small = publish_bundle(tmp_path / "models", n_users=3)
        large = publish_bundle(tmp_path / "models", n_users=10)
        damaged = publish_bundle(tmp_path / "models", n_users=10)
        (tmp_path / "models" / damaged / "user_ids.data.npy").unlink()
        await parts.merge().merge("u001", user)
        await parts.merge().merge("u007", f"{user}-other")

        async def held(user_id: str) -> set[str]:
            receipt = await parts.erasure().erase(user_id)
            return {part.what for part in receipt.pending if part.what.startswith("model")}

        assert await held(user) == {f"model {small}", f"model {large}"}
        assert await held(f"{user}-other") == {f"model {large}"}
        assert await held(f"{user}-nobody") == set()

    run(redis_url, tmp_path, scenario)


def test_an_event_after_the_erasure_is_a_new_users(redis_url: str, tmp_path: Path, user: str) -> None:
    async def scenario(parts: Opened) -> None:
        await parts.happen(user, "v1", "v2")
        before = (await parts.state.read(user, None)).sequence
        await parts.erasure().erase(user)
        await parts.happen(user, "v3")
        assert await parts.recent(user) == ["v3"]
        assert (await parts.state.read(user, None)).sequence > before
        tombstone = parts.feed.erasures.of(user)
        news = (await parts.state.read(user, None)).news
        assert tombstone is not None
        assert news is not None
        assert not parts.feed.erasures.erases(user, news.events[0].id)

    run(redis_url, tmp_path, scenario)
