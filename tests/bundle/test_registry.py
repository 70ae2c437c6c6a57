"""Promotion, rollback and pruning."""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsvc.bundle.errors import BundleCorrupt, NothingToRollBackTo, VersionUnknown
from recsvc.bundle.registry import Registry
from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of
from tests.builders import publish_bundle

V1, V2, V3, V4 = (f"2026110{day}T000000Z-00000{day}" for day in range(1, 5))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    for version in (V1, V2, V3, V4):
        (tmp_path / version).mkdir()
        (tmp_path / version / "manifest.json").write_text("{}")
    return Registry(tmp_path)


def test_a_new_registry_has_no_champion(tmp_path: Path) -> None:
    assert Registry(tmp_path / "none").champion() is None
    assert Registry(tmp_path / "none").versions() == []


def test_versions_are_newest_first_and_leave_out_unfinished_ones(registry: Registry) -> None:
    (registry.models_dir / f".{V1}.writing").mkdir()
    (registry.models_dir / "README.md").write_text("")
    assert registry.versions() == [V4, V3, V2, V1]


def test_rolling_back_twice_goes_back_two_promotions(registry: Registry) -> None:
    for version in (V1, V2, V3):
        registry.promote(version)
    assert registry.rollback() == V2
    assert registry.rollback() == V1
    assert registry.champion() == V1
    with pytest.raises(NothingToRollBackTo, match="no earlier champion"):
        registry.rollback()


def test_promotion_after_a_rollback_returns_to_where_it_started(registry: Registry) -> None:
    registry.promote(V1)
    registry.promote(V2)
    registry.rollback()
    registry.promote(V3)
    assert registry.rollback() == V1


def test_promoting_the_champion_again_does_not_hide_its_predecessor(registry: Registry) -> None:
    registry.promote(V1)
    registry.promote(V2)
    registry.promote(V2)
    assert registry.rollback() == V1


@pytest.mark.parametrize("name", ["20260101T000000Z-ffffff", "..", "../x", "", ".lock"])
def test_an_unknown_version_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(VersionUnknown):
        registry.promote(name)
    assert registry.champion() is None


def test_a_damaged_champion_line_is_named(registry: Registry) -> None:
    (registry.models_dir / "CHAMPION").write_text("../../etc\n")
    with pytest.raises(BundleCorrupt, match="CHAMPION"):
        registry.champion()


def test_pruning_spares_the_champion_and_the_version_a_rollback_needs(registry: Registry) -> None:
    registry.promote(V1)
    registry.promote(V2)
    assert registry.prune(1) == [V3]
    assert registry.versions() == [V4, V2, V1]
    assert registry.rollback() == V1


def test_pruning_spares_what_is_in_use(registry: Registry) -> None:
    registry.promote(V4)
    assert registry.prune(1, [V2]) == [V3, V1]
    assert registry.versions() == [V4, V2]


def test_concurrent_promotions_leave_one_consistent_history(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(registry.promote, [V1, V2, V3, V4] * 6))
    last = registry.champion()
    promotions = (registry.models_dir / "PROMOTIONS.jsonl").read_text().splitlines()
    assert f'"version": "{last}"' in promotions[-1]


def test_promoting_mends_an_unreadable_champion_line(registry: Registry) -> None:
    (registry.models_dir / "CHAMPION").write_text("junk\n")
    registry.promote(V2)
    assert registry.champion() == V2


def test_a_damaged_record_of_promotions_is_named_by_its_line(registry: Registry) -> None:
    registry.promote(V1)
    with (registry.models_dir / "PROMOTIONS.jsonl").open("a") as file:
        file.write('{"at": "x"\n')
    with pytest.raises(BundleCorrupt, match=r"PROMOTIONS\.jsonl: line 2"):
        registry.rollback()


def test_a_rollback_to_another_version_than_the_one_verified_is_refused(registry: Registry) -> None:
    for version in (V1, V2, V3):
        registry.promote(version)
    with pytest.raises(NothingToRollBackTo, match="changed meanwhile"):
        registry.rollback(V1)
    assert registry.champion() == V3


NOW = time.time()
DAY = 86_400.0


def _erased(user_id: str, days_ago: float) -> Tombstones:
    return Tombstones([Tombstone(digest_of(user_id), BEGINNING, NOW - days_ago * DAY)])


@pytest.fixture
def trained(tmp_path: Path) -> Registry:
    for version in (V1, V2, V3):
        publish_bundle(tmp_path, version=version, n_users=6, n_items=30)
    return Registry(tmp_path)


def test_versions_that_know_a_long_erased_user_are_removed_but_never_the_champion(
    trained: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    trained.promote(V1)
    trained.promote(V2)
    with caplog.at_level(logging.WARNING):
        assert trained.expire(_erased("u003", 31), NOW) == [V3, V1]
    assert trained.versions() == [V2]
    assert f"the champion {V2} knows a user erased more than 30 days ago" in caplog.text
    assert not [path for path in trained.models_dir.iterdir() if path.name.endswith(".removing")]


def test_nothing_expires_while_it_cannot_be_told_which_is_the_champion(trained: Registry) -> None:
    trained.promote(V1)
    (trained.models_dir / "CHAMPION").write_text("junk\n")
    with pytest.raises(BundleCorrupt, match="CHAMPION"):
        trained.expire(_erased("u003", 31), NOW)
    assert trained.versions() == [V3, V2, V1]


@pytest.mark.parametrize(("user", "days"), [("u003", 29), ("stranger", 31)])
def test_neither_a_recent_erasure_nor_that_of_somebody_unknown_removes_a_version(
    trained: Registry, user: str, days: float
) -> None:
    assert trained.expire(_erased(user, days), NOW) == []
    assert trained.versions() == [V3, V2, V1]


def test_a_version_whose_training_left_the_user_out_stays_when_the_id_came_back(trained: Registry) -> None:
    publish_bundle(trained.models_dir, version=V4, n_users=6, n_items=30, erasures_applied_at=NOW - 30.5 * DAY)
    assert trained.expire(_erased("u003", 31), NOW) == [V3, V2, V1]
    assert trained.versions() == [V4]


def test_a_version_erasures_were_applied_to_too_early_does_not_stay(trained: Registry) -> None:
    publish_bundle(trained.models_dir, version=V4, n_users=6, n_items=30, erasures_applied_at=NOW - 40 * DAY)
    assert V4 in trained.expire(_erased("u003", 31), NOW)


def test_a_version_that_cannot_be_read_stays_and_is_named(trained: Registry, caplog: pytest.LogCaptureFixture) -> None:
    (trained.models_dir / V2 / "user_ids.offsets.npy").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert trained.expire(_erased("u003", 31), NOW) == [V3, V1]
    assert f"{V2} may know erased users" in caplog.text


def test_what_interrupted_work_left_behind_expires_too(trained: Registry) -> None:
    removing, old, young = (trained.models_dir / f".{name}" for name in ("a.removing", "b.writing", "c.writing"))
    for path in (removing, old, young):
        path.mkdir()
    os.utime(old, (NOW - 31 * DAY, NOW - 31 * DAY))
    trained.expire(Tombstones(), NOW)
    assert [path.exists() for path in (removing, old, young)] == [False, False, True]
