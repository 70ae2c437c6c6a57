"""The files that stand in for Redis: whole, never older than before, shared by processes."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsvc.catalog.item_json import from_json, to_json
from recsvc.catalog.live import LiveItem
from recsvc.catalog.snapshot import Saved, read_erasures, read_saved, read_snapshot, save_erasures, save_items
from recsvc.eventlog.tombstones import Tombstones, read_tombstones
from recsvc.store.live_store import Position
from tests.catalog.feeding import tombstone_of

IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ITEMS = st.builds(
    LiveItem,
    item_id=IDS,
    title=st.text(st.characters(exclude_categories=["Cs"])),
    creator=IDS,
    categories=st.lists(IDS, max_size=4).map(tuple),
    published_at=st.none() | FINITE,
    expires_at=st.none() | FINITE,
    hidden=st.booleans(),
    deleted=st.booleans(),
    quality=st.floats(0, 1),
    attributes=st.dictionaries(IDS, st.booleans() | FINITE | IDS, max_size=4),
    updated_at=st.floats(0.001, 1e12),
)


@given(ITEMS)
def test_an_item_is_the_same_after_it_was_written_and_read(item: LiveItem) -> None:
    assert from_json(to_json(item)) == item
    assert b"\n" not in to_json(item)


def names(state_dir: Path) -> list[str]:
    lines = (state_dir / "live" / "items.jsonl").read_text().splitlines()
    return [json.loads(line)["item_id"] for line in lines]


class TestItems:
    def test_a_later_state_replaces_an_earlier_one_and_never_the_other_way(self, tmp_path: Path) -> None:
        assert save_items(tmp_path, [LiveItem("v1")], Position(5, "five"))
        assert save_items(tmp_path, [], Position(4, "four"))
        assert names(tmp_path) == ["v1"]
        assert save_items(tmp_path, [LiveItem("v1"), LiveItem("v2")], Position(6, "six"))
        assert names(tmp_path) == ["v1", "v2"]

    def test_what_another_process_is_writing_is_left_to_it(self, tmp_path: Path) -> None:
        save_items(tmp_path, [LiveItem("v1")], Position(5, "five"))
        with (tmp_path / "live" / ".items.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert not save_items(tmp_path, [], Position(6, "six"))
        assert names(tmp_path) == ["v1"]

    def test_thousands_are_written_whole(self, tmp_path: Path) -> None:
        items = [LiveItem(f"v{n}", hidden=n % 2 == 0) for n in range(2345)]
        save_items(tmp_path, items, Position(1, "one"))
        snapshot = read_snapshot(tmp_path)
        assert snapshot is not None
        assert snapshot.items == items
        assert snapshot.saved.position == Position(1, "one")

    def test_writing_takes_a_twentieth_of_the_time_at_most(self) -> None:
        assert Saved(Position(1, ""), 100.0, 0.01).due_at == 101.0
        assert Saved(Position(1, ""), 100.0, 3.0).due_at == 160.0

    def test_nothing_written_is_nothing_read(self, tmp_path: Path) -> None:
        assert read_snapshot(tmp_path) is None
        assert read_saved(tmp_path) is None


class TestErasures:
    def test_processes_add_to_each_others(self, tmp_path: Path) -> None:
        save_erasures(tmp_path, Tombstones([tombstone_of("u1")]))
        save_erasures(tmp_path, Tombstones([tombstone_of("u2")]))
        found = read_tombstones(tmp_path)
        assert found.of("u1") == tombstone_of("u1")
        assert found.of("u2") == tombstone_of("u2")

    def test_of_one_user_the_latest_stays(self, tmp_path: Path) -> None:
        save_erasures(tmp_path, Tombstones([tombstone_of("u1", 2000.0)]))
        save_erasures(tmp_path, Tombstones([tombstone_of("u1", 1000.0)]))
        assert read_tombstones(tmp_path).of("u1") == tombstone_of("u1", 2000.0)

    def test_a_file_that_holds_all_of_them_is_not_written_again(self, tmp_path: Path) -> None:
        save_erasures(tmp_path, Tombstones([tombstone_of("u1")]))
        before = (tmp_path / "live" / "erasures.jsonl").stat()
        save_erasures(tmp_path, Tombstones([tombstone_of("u1")]))
        assert (tmp_path / "live" / "erasures.jsonl").stat().st_ino == before.st_ino

    def test_a_damaged_line_takes_no_other_with_it_and_is_kept_aside(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        save_erasures(tmp_path, Tombstones([tombstone_of("u1"), tombstone_of("u2")]))
        file = tmp_path / "live" / "erasures.jsonl"
        damaged = file.read_bytes().replace(b"\n", b'\n{"digest": \xff\n', 1)
        file.write_bytes(damaged)
        found = read_erasures(tmp_path)
        assert not found.whole
        assert set(found.tombstones) == {tombstone_of("u1"), tombstone_of("u2")}
        assert "line 2 is not a tombstone" in caplog.text
        save_erasures(tmp_path, Tombstones([tombstone_of("u3")]))
        assert set(read_tombstones(tmp_path)) == {tombstone_of(user) for user in ("u1", "u2", "u3")}
        (aside,) = file.parent.glob("erasures.jsonl.damaged-*")
        assert aside.read_bytes() == damaged
