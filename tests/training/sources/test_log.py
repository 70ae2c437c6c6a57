"""The event log as a source, alone and added to another one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.types import NO_TIME
from recsvc.eventlog.compact import compact_everything
from recsvc.eventlog.event import MERGE
from recsvc.eventlog.position import StreamId, partition_of
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones
from recsvc.events.schema import TYPE_CODES
from tests.training.event_log import FIRST_MILLISECONDS, event, write_items, write_log
from tests.training.sources.reading import reject_rows, triples
from training.errors import DataInvalid, DataMissing
from training.sources.dataset import Dataset
from training.sources.load import load
from training.sources.log import rows_after

LIKE, VIEW = TYPE_CODES["like"], TYPE_CODES["view"]


def read(state_dir: Path, source: str = "log", *, with_log: bool = False, catalogue: Path | None = None) -> Dataset:
    return load(
        source,
        data_dir=state_dir / "nowhere",
        columns={},
        catalogue=catalogue,
        max_reject_share=0.5,
        rejects_path=state_dir / "rejects.csv",
        state_dir=state_dir,
        with_log=with_log,
    )


def pairs(dataset: Dataset) -> set[tuple[str, str]]:
    return {(user, item) for user, item, _ in triples(dataset)}


def erase(state_dir: Path, user_id: str, until: StreamId, erased_at: float) -> None:
    write_tombstones(state_dir, Tombstones([Tombstone(digest_of(user_id), until, erased_at)]))


class TestAlone:
    def test_events_on_items_are_read_with_their_times_types_and_values(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1), event("u2", "v2", 2, type="view", value=0.5)])
        dataset = read(tmp_path)
        assert dataset.name == "log"
        assert sorted(triples(dataset)) == [("u1", "v1", LIKE), ("u2", "v2", VIEW)]
        assert sorted(dataset.events.timestamps.tolist()) == [1_790_000_001.0, 1_790_000_002.0]
        assert np.nansum(dataset.events.values) == 0.5
        assert dataset.log_events == 2

    def test_the_ends_are_those_of_what_was_read(self, tmp_path: Path) -> None:
        first, second = write_log(tmp_path, [event("u1", "v1", 1), event("u2", "v2", 2)])
        ends = read(tmp_path).log_ends
        assert ends == {f"{partition_of('u1'):03d}": str(first), f"{partition_of('u2'):03d}": str(second)}

    def test_the_fingerprint_changes_with_the_log_and_with_the_items(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1)])
        prints = [read(tmp_path).fingerprint, read(tmp_path).fingerprint]
        write_log(tmp_path, [event("u1", "v2", 2)], first=10)
        prints.append(read(tmp_path).fingerprint)
        write_items(tmp_path, {"item_id": "v1", "title": "Bread"})
        prints.append(read(tmp_path).fingerprint)
        assert prints[0] == prints[1]
        assert len(set(prints)) == 3

    def test_a_target_that_is_no_item_leaves_the_event_out(self, tmp_path: Path) -> None:
        events = [event("u1", "v1", 1), event("u1", None, 2, type="not_interested", target_type="topic", target_id="x")]
        write_log(tmp_path, events)
        assert triples(read(tmp_path)) == [("u1", "v1", LIKE)]

    def test_an_event_that_is_there_twice_counts_once_but_users_may_number_alike(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1), event("u1", "v1", 1), event("u2", "v1", 1)])
        dataset = read(tmp_path)
        assert sorted(triples(dataset)) == [("u1", "v1", LIKE), ("u2", "v1", LIKE)]
        assert dataset.rejects.by_reason == {"duplicate event_id": 1}

    def test_a_bad_row_is_named_by_its_file_and_place(self, tmp_path: Path) -> None:
        good = [event("u1", f"v{number}", number) for number in range(3)]
        write_log(tmp_path, [*good[:2], event("u1", "v\x01", 9), *good[2:]])
        assert len(read(tmp_path).events) == 3
        ((line, reason, raw),) = reject_rows(tmp_path)
        assert (line, reason) == ("3", "item_id contains a control character")
        assert "user_id=u1" in raw

    @pytest.mark.parametrize("there", [False, True])
    def test_a_log_without_events_on_items_says_how_to_come_to_some(self, tmp_path: Path, there: bool) -> None:
        if there:
            write_log(tmp_path, [event("anon", None, 1, type=MERGE, target_type="user", target_id="u1")])
        with pytest.raises(DataMissing, match="has no events on items yet; send some"):
            read(tmp_path)

    def test_a_damaged_log_is_named(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1)])
        (file,) = (tmp_path / "events").rglob("*.parquet")
        file.write_bytes(b"PAR1")
        with pytest.raises(DataInvalid, match=file.name):
            read(tmp_path)

    def test_a_byte_changed_in_a_compacted_file_is_noticed_and_the_file_named(self, tmp_path: Path) -> None:
        for round_ in range(5):
            write_log(tmp_path, [event("u1", f"v{round_}", round_)], first=10 * round_)
        compact_everything(tmp_path / "events", Tombstones())
        assert len(read(tmp_path).events) == 5
        (file,) = (tmp_path / "events").rglob("segment*")
        content = file.read_bytes()
        for place in (6, len(content) // 3, len(content) // 2):
            file.write_bytes(content[:place] + bytes([content[place] ^ 0x01]) + content[place + 1 :])
            with pytest.raises(DataInvalid, match=rf"{file.name}: its SHA-256 .* restore it from a back-up"):
                read(tmp_path)

    def test_a_compacted_log_is_the_same_log(self, tmp_path: Path) -> None:
        for round_ in range(5):
            write_log(tmp_path, [event("u1", f"v{round_}", round_), event("u2", "v1", 50 + round_)], first=10 * round_)
        before = read(tmp_path)
        compact_everything(tmp_path / "events", Tombstones())
        after = read(tmp_path)
        assert sorted(triples(after)) == sorted(triples(before))
        assert after.log_ends == before.log_ends

    def test_columns_are_for_files_of_ones_own(self, tmp_path: Path) -> None:
        with pytest.raises(DataInvalid, match="COLUMNS"):
            load(
                "log",
                data_dir=tmp_path,
                columns={"user_id": "x"},
                catalogue=None,
                max_reject_share=0.5,
                rejects_path=tmp_path / "r.csv",
                state_dir=tmp_path,
            )


class TestMerges:
    def test_a_merged_users_events_are_the_accounts_over_any_number_of_merges(self, tmp_path: Path) -> None:
        merges = [
            event("anon", None, 5, type=MERGE, target_type="user", target_id="phone"),
            event("phone", None, 6, type=MERGE, target_type="user", target_id="u1"),
        ]
        write_log(tmp_path, [event("anon", "v1", 1), event("phone", "v2", 2), event("u1", "v3", 3), *merges])
        write_log(tmp_path, [event("anon", "v4", 7)], first=100)
        assert pairs(read(tmp_path)) == {("u1", "v1"), ("u1", "v2"), ("u1", "v3"), ("u1", "v4")}

    def test_two_users_merged_into_each_other_do_not_hang_the_run(self, tmp_path: Path) -> None:
        merges = [
            event("a", None, 5, type=MERGE, target_id="b"),
            event("b", None, 6, type=MERGE, target_id="a"),
        ]
        write_log(tmp_path, [event("a", "v1", 1), event("b", "v2", 2), *merges])
        assert {item for _, item in pairs(read(tmp_path))} == {"v1", "v2"}


class TestErasures:
    def test_an_erased_users_rows_go_by_their_stream_id_whatever_their_time(self, tmp_path: Path) -> None:
        ids = write_log(tmp_path, [event("u1", "v1", 1), event("u2", "v2", 2), event("u1", "v3", 3)])
        later = 2_000_000_000.0  # events the client dated before the erasure may be of the new user all the same
        erase(tmp_path, "u1", ids[0], later)
        dataset = read(tmp_path)
        assert pairs(dataset) == {("u2", "v2"), ("u1", "v3")}
        assert dataset.erased == 1
        assert "v1" not in dataset.events.item_ids

    def test_an_erased_merge_is_forgotten_too(self, tmp_path: Path) -> None:
        ids = write_log(tmp_path, [event("anon", "v1", 1), event("anon", None, 2, type=MERGE, target_id="u1")])
        write_log(tmp_path, [event("anon", "v2", 3), event("u1", "v3", 4)], first=10)
        erase(tmp_path, "anon", ids[1], 1_790_000_005.0)
        assert pairs(read(tmp_path)) == {("anon", "v2"), ("u1", "v3")}

    def test_a_recent_erasure_leaves_a_minute_to_those_still_on_their_way(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u2", "v2", 2)])
        now = time.time()
        erase(tmp_path, "u1", StreamId(1, 0), now)
        assert read(tmp_path).erasures_applied_at == pytest.approx(now - 60, abs=1)
        erase(tmp_path, "u1", StreamId(1, 0), now - 100_000)
        assert read(tmp_path).erasures_applied_at == pytest.approx(now - 100_000, abs=1)

    def test_a_damaged_record_of_erasures_stops_the_run(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u2", "v2", 2)])
        (tmp_path / "live").mkdir()
        (tmp_path / "live" / "erasures.jsonl").write_text("not one\n")
        with pytest.raises(DataInvalid, match=r"erasures\.jsonl, line 1"):
            read(tmp_path)


class TestItems:
    def test_live_items_are_the_catalogue_and_deleted_ones_say_nothing(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1), event("u1", "v9", 2)])
        write_items(
            tmp_path,
            {
                "item_id": "v1",
                "title": "Bread",
                "creator": "ana",
                "categories": ["baking"],
                "published_at": 1_700_000_000.5,
                "attributes": {"language": "pt"},
            },
            {"item_id": "v2", "title": "New", "hidden": True},
            {"item_id": "v3", "title": "Gone", "deleted": True},
            {"item_id": "v9", "title": "Gone", "deleted": True},
        )
        dataset = read(tmp_path)
        assert dataset.events.item_ids == ["v1", "v2", "v9"]
        assert dataset.items.titles == ["Bread", "New", ""]
        assert dataset.items.creators[0] == "ana"
        assert dataset.items.categories[0] == ["baking"]
        assert dataset.items.attributes[0] == {"language": "pt"}
        assert dataset.items.published_at.tolist() == [1_700_000_000, NO_TIME, NO_TIME]

    def test_live_items_lie_over_a_catalogue_of_ones_own(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1)])
        write_items(tmp_path, {"item_id": "v1", "title": "Now"}, {"item_id": "v2", "deleted": True})
        own = tmp_path / "items.csv"
        own.write_text("item_id,title,creator\nv1,Then,ana\nv2,Gone,ana\nv3,There,ana\n")
        dataset = read(tmp_path, catalogue=own)
        assert dict(zip(dataset.events.item_ids, dataset.items.titles, strict=True)) == {"v1": "Now", "v3": "There"}
        assert dataset.items.creators == ["", "ana"]

    def test_a_line_that_is_no_item_is_named(self, tmp_path: Path) -> None:
        write_log(tmp_path, [event("u1", "v1", 1)])
        write_items(tmp_path, {"item_id": "v1"}, {"title": "no id"})
        with pytest.raises(DataInvalid, match=r"items\.jsonl, line 2"):
            read(tmp_path)


class TestAdded:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        path = tmp_path / "events.csv"
        path.write_text("user_id,item_id,type,timestamp\nu1,v1,like,1780000000\nu3,v5,view,1780000001\n")
        return path

    def test_both_are_read_with_united_ids(self, tmp_path: Path, own: Path) -> None:
        write_log(tmp_path, [event("u1", "v2", 1), event("u2", "v1", 2)])
        dataset = read(tmp_path, str(own), with_log=True)
        assert pairs(dataset) == {("u1", "v1"), ("u3", "v5"), ("u1", "v2"), ("u2", "v1")}
        assert dataset.events.user_ids == ["u1", "u2", "u3"]
        assert dataset.name == f"{own} + log"
        assert (dataset.log_events, len(dataset.events)) == (2, 4)
        assert dataset.log_ends is not None
        assert dataset.fingerprint not in (read(tmp_path, str(own)).fingerprint, read(tmp_path).fingerprint)

    def test_an_empty_log_adds_nothing(self, tmp_path: Path, own: Path) -> None:
        dataset = read(tmp_path, str(own), with_log=True)
        assert dataset.name == str(own)
        assert dataset.log_ends is None

    def test_live_items_lie_over_the_sources_own_catalogue(self, tmp_path: Path, own: Path) -> None:
        write_log(tmp_path, [event("u1", "v2", 1)])
        write_items(tmp_path, {"item_id": "v1", "title": "Now"}, {"item_id": "v5", "deleted": True})
        catalogue = tmp_path / "items.csv"
        catalogue.write_text("item_id,title\nv1,Then\nv5,Gone\nv7,There\n")
        dataset = read(tmp_path, str(own), with_log=True, catalogue=catalogue)
        titles = dict(zip(dataset.events.item_ids, dataset.items.titles, strict=True))
        assert titles == {"v1": "Now", "v2": "", "v5": "", "v7": "There"}

    def test_an_erased_user_leaves_the_source_by_time_and_the_log_by_stream_id(self, tmp_path: Path, own: Path) -> None:
        ids = write_log(tmp_path, [event("u1", "v2", 1), event("u1", "v4", 2)])
        erase(tmp_path, "u1", ids[0], 1_790_000_001.5)
        dataset = read(tmp_path, str(own), with_log=True)
        assert pairs(dataset) == {("u3", "v5"), ("u1", "v4")}
        assert dataset.erased == 2


class TestRowsAfter:
    def test_rows_after_the_ends_of_a_manifest_are_counted(self, tmp_path: Path) -> None:
        root = tmp_path / "events"
        assert rows_after(root, {}) == 0
        write_log(tmp_path, [event("u1", "v1", 1), event("u1", "v2", 2), event("u2", "v2", 3)])
        ends = read(tmp_path).log_ends
        assert ends is not None
        assert (rows_after(root, {}), rows_after(root, ends)) == (3, 0)
        write_log(tmp_path, [event("u1", "v3", 4), event("u1", "v4", 5)], first=10)
        assert rows_after(root, ends) == 2
        middle = ends | {f"{partition_of('u1'):03d}": str(StreamId(FIRST_MILLISECONDS, 0))}
        assert rows_after(root, middle) == 3
