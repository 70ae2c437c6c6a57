"""Retraining from the event log, without those who were erased."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import Bundle
from recsvc.eventlog.position import StreamId
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones
from tests.training.command import training, write_likes
from tests.training.event_log import event, write_items, write_log
from training.config import load_config, recorded_config

DAY = 86_400.0


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A champion of its user's own data."""
    path = write_likes(tmp_path / "events.csv")
    training(tmp_path, "retrain", "--data", str(path))
    return path


def champion(folder: Path) -> Bundle:
    registry = Registry(folder / "models")
    version = registry.champion()
    assert version is not None
    return open_bundle(registry.path(version), None)


def erase(folder: Path, user_id: str, days_ago: float = 0.0, until: StreamId = StreamId(2**44, 0)) -> None:  # noqa: B008
    at = time.time() - days_ago * DAY
    write_tombstones(folder / "state", Tombstones([Tombstone(digest_of(user_id), until, at)]))


def test_with_nothing_in_the_log_the_champions_source_is_read_again(tmp_path: Path, own: Path) -> None:
    first = champion(tmp_path)
    said = training(tmp_path, "retrain")
    again = champion(tmp_path)
    assert again.version != first.version
    assert again.manifest.data.name == first.manifest.data.name == str(own)
    assert again.manifest.log_ends is None
    assert "log" not in said.replace(str(tmp_path), "")


def test_events_of_the_log_join_the_champions_source(tmp_path: Path, own: Path) -> None:
    first = champion(tmp_path)
    write_log(tmp_path / "state", [event("newcomer", f"v{number}", number) for number in range(4)])
    write_items(tmp_path / "state", {"item_id": "v1", "title": "Now"}, {"item_id": "brand-new", "title": "New"})
    said = training(tmp_path, "retrain")
    assert f"{own} + 4 events of the log" in said
    bundle = champion(tmp_path)
    assert bundle.users.row_of("newcomer") is not None
    assert bundle.items.row_of("brand-new") is not None
    assert bundle.catalogue.title(bundle.items.row_of("v1")) == "Now"  # type: ignore[arg-type]
    assert bundle.manifest.recipe["source"]["with_log"] is True
    assert bundle.manifest.log_ends is not None
    assert len(bundle.manifest.log_ends) == 1
    assert f"{bundle.version} (als) on {own} + log" in training(tmp_path, "evaluate", "--version", bundle.version)
    compared = training(tmp_path, "compare", first.version, bundle.version)
    assert f"recipes refitted on one split of {own} + log" in compared
    training(tmp_path, "rollback")
    assert f"champion: {bundle.version}" in training(tmp_path, "promote", bundle.version)


def test_the_log_alone_is_a_source_and_an_empty_one_says_what_to_do(tmp_path: Path) -> None:
    assert "the event log has no events on items yet" in training(tmp_path, "retrain", "--dataset", "log", expect=2)
    likes = [(f"u{user}", f"v{(user * 7 + step) % 20}") for step in range(12) for user in range(30)]
    write_log(tmp_path / "state", [event(user, item, number) for number, (user, item) in enumerate(likes)])
    training(tmp_path, "retrain", "--dataset", "log")
    bundle = champion(tmp_path)
    assert (bundle.manifest.data.name, bundle.manifest.data.events) == ("log", 360)
    training(tmp_path, "retrain")
    assert champion(tmp_path).manifest.data.name == "log"


def test_an_erased_user_is_in_no_next_bundle_and_old_ones_do_not_know_them(tmp_path: Path, own: Path) -> None:
    write_log(tmp_path / "state", [event("u3", "v1", 1), event("u4", "v2", 2)])
    old = champion(tmp_path)
    assert "u3 in " in training(tmp_path, "recommend", "u3")
    erase(tmp_path, "u3")
    assert f"u3 is not in {old.version}" in training(tmp_path, "recommend", "u3")
    said = training(tmp_path, "retrain")
    bundle = champion(tmp_path)
    assert "13 events of erased users left out" in said
    assert bundle.manifest.data.erased == 13
    assert bundle.users.row_of("u3") is None
    assert bundle.users.row_of("u4") is not None
    assert bundle.manifest.erasures_applied_at == pytest.approx(time.time() - 60, abs=300)
    report = (bundle.path / "report.html").read_text()
    assert ">u3<" not in report
    assert "left out" in training(tmp_path, "data", "--data", str(own))


def test_versions_that_know_a_user_erased_long_ago_leave_at_the_next_run(tmp_path: Path, own: Path) -> None:
    old = champion(tmp_path)
    erase(tmp_path, "u3", days_ago=31)
    said = training(tmp_path, "retrain")
    assert f"removed, because they know users erased more than 30 days ago: {old.version}" in said
    assert Registry(tmp_path / "models").versions() == [champion(tmp_path).version]


def test_settings_that_came_later_have_their_defaults_in_an_older_recipe() -> None:
    recorded = json.loads(load_config("built", None).model_dump_json())
    assert recorded_config(recorded, "somewhere") == load_config("built", None)
    del recorded["content"]
    assert recorded_config(recorded, "somewhere") == load_config("built", None)
