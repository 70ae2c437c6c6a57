"""Promotion, rollback and pruning."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsvc.bundle.errors import BundleCorrupt, NothingToRollBackTo, VersionUnknown
from recsvc.bundle.registry import Registry

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
