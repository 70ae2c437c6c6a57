"""Counting the log: once, exactly, and again where users were erased."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.analysis.aggregates import aggregates, analysis_directory
from recsvc.analysis.definition import Definition, Variant
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.exposed import Exposed, exposures_table, find_exposed
from recsvc.analysis.tables import TABLES, grouped
from recsvc.analysis.users import UserTable, prepare_activity, read_activity, read_users
from tests.analysis.logs import START, START_DAY, Log, assigned

BEGIN = datetime.fromtimestamp(START, UTC)


def definition(**fields: Any) -> Definition:
    variants = (Variant("control", 1), Variant("treatment", 1))
    given = {"started_at": BEGIN, "outcome_window_days": 3} | fields
    return Definition("exp", 1, variants, "control", "ctr", **given)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def counted(log: Log, wanted: Definition | None = None) -> tuple[Exposed, dict[str, UserTable]]:
    """What was exposed, and the table of each variant."""
    wanted = wanted or definition()
    with aggregates(log.state_dir) as counts:
        exposed = find_exposed(counts.connection, wanted)
        prepare_activity(counts.connection, wanted.key, wanted.phase)
        users = read_users(counts.connection, wanted.outcome_window_days, counts.today)
    return exposed, {name: users.of(users.variant == name) for name in ("control", "treatment")}


def everything(log: Log) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, lists sorted."""
    with aggregates(log.state_dir) as counts:
        found = {}
        for table in TABLES:
            rows = counts.connection.execute(grouped(table, table.name)).fetchall()
            tidy = [
                tuple(sorted(v) if isinstance(v, list) else str(v) if isinstance(v, dict) else v for v in row)
                for row in rows
            ]
            found[table.name] = sorted(tidy, key=str)
        return found


def a_month_of_events(log: Log, *, flush_every: int) -> None:
    rng = np.random.default_rng(11)
    kinds = ["view", "like", "skip", "impression", "finish", "survey", "unsubscribe"]
    for number in range(1_200):
        user = f"u{rng.integers(40)}"
        variant = assigned("treatment" if int(user[1:]) % 2 else "control", forced=bool(rng.random() < 0.1))
        log.add(
            user,
            number / 40 - (rng.random() if rng.random() < 0.2 else 0),
            kinds[rng.integers(len(kinds))],
            *([variant] if rng.random() < 0.6 else []),
            value=float(rng.integers(0, 2)),
            session_id=f"s{rng.integers(3)}",
            position=int(rng.integers(5)),
            team="A" if rng.random() < 0.5 else "B",
            received=number / 40,
        )
        if number % 300 == 299:
            log.merge(f"anon{number}", user, number / 40)
        if number % flush_every == flush_every - 1:
            log.flush()
            if flush_every < 1_200:
                with aggregates(log.state_dir):
                    pass


class TestCountingOnce:
    def test_bit_by_bit_is_all_at_once(self, tmp_path: Path) -> None:
        bits, whole = Log(tmp_path / "bits"), Log(tmp_path / "whole")
        a_month_of_events(bits, flush_every=100)
        a_month_of_events(whole, flush_every=1_200)
        assert everything(bits) == everything(whole)

    def test_only_new_rows_are_read(self, log: Log) -> None:
        log.show("u1", 0, "control")
        log.show("u2", 0, "control")
        log.flush()
        with aggregates(log.state_dir) as counts:
            assert counts.rows_read == 2
        log.add("u1", 1)
        log.flush()
        with aggregates(log.state_dir) as counts:
            assert counts.rows_read == 1
            assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (1,)
        with aggregates(log.state_dir) as counts:
            assert counts.rows_read == 0

    def test_parts_are_put_together(self, log: Log) -> None:
        for number in range(25):
            log.add("u1", number / 10)
            log.flush()
            with aggregates(log.state_dir) as counts:
                assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (number + 1,)
        assert len(list((analysis_directory(log.state_dir) / "aggregates").glob("part-*"))) <= 16

    def test_a_part_that_a_crash_left_counts_for_nothing(self, log: Log) -> None:
        log.add("u1", 0)
        log.flush()
        left = analysis_directory(log.state_dir) / "aggregates" / "part-000001"
        left.mkdir(parents=True)
        (left / "daily.parquet").write_bytes(b"half a file")
        with aggregates(log.state_dir) as counts:
            assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (1,)

    def test_aggregates_that_are_gone_are_made_anew(self, log: Log) -> None:
        log.add("u1", 0)
        log.flush()
        with aggregates(log.state_dir):
            pass
        (part,) = (analysis_directory(log.state_dir) / "aggregates").glob("part-*")
        shutil.rmtree(part)
        with aggregates(log.state_dir) as counts:
            assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (1,)

    @pytest.mark.parametrize(
        ("file", "damaged"),
        [
            ("part-000001/daily.parquet", b"half a file"),
            ("part-000001/merges.parquet", None),
            ("position.json", b'{"format": 1, "parts": ["part-000001"]}'),
            ("position.json", b'{"format": 1, "log_id": "", "ends": 1, "parts": [], "erased": {}, "number": 1}'),
        ],
    )
    def test_aggregates_that_are_damaged_are_made_anew(self, log: Log, file: str, damaged: bytes | None) -> None:
        log.add("u1", 0)
        log.flush()
        with aggregates(log.state_dir):
            pass
        path = analysis_directory(log.state_dir) / "aggregates" / file
        assert path.is_file()
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with aggregates(log.state_dir) as counts:
            assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (1,)

    def test_what_a_killed_run_left_is_removed(self, log: Log) -> None:
        log.add("u1", 0)
        log.flush()
        left = analysis_directory(log.state_dir) / "aggregates" / ".scratch-1"
        left.mkdir(parents=True)
        with aggregates(log.state_dir):
            assert not left.exists()

    def test_another_log_is_counted_from_its_beginning(self, log: Log) -> None:
        log.add("u1", 0)
        log.flush()
        (log.state_dir / "events" / "LOG_ID").write_text("one")
        with aggregates(log.state_dir):
            pass
        (log.state_dir / "events" / "LOG_ID").write_text("two")
        with aggregates(log.state_dir) as counts:
            assert counts.rows_read == 1
            assert counts.connection.execute("SELECT sum(views) FROM daily").fetchone() == (1,)

    def test_files_from_before_experiments_are_read(self, log: Log) -> None:
        log.add("u1", -2, session_id="s1")
        log.flush(older=True)
        assert everything(log)["exposures"] == []
        log.show("u1", 0, "control")
        log.add("u1", 9)
        log.flush()
        _, users = counted(log)
        assert users["control"].columns["before_views"].tolist() == [1]

    def test_no_log_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(AnalysisRefused, match="no events yet"), aggregates(tmp_path):
            pass

    def test_a_file_that_is_missing_is_said(self, log: Log) -> None:
        for day in range(3):
            log.add("u1", day)
            log.flush()
        sorted((log.state_dir / "events").rglob("*.parquet"))[1].unlink()
        with pytest.raises(AnalysisRefused, match="restore it"), aggregates(log.state_dir):
            pass


class TestExposure:
    def test_first_impression_counts(self, log: Log) -> None:
        log.add("u1", 0.1, "view", assigned("control"))  # no impression
        log.show("u1", 0.2, "control")
        log.show("u1", 1.2, "control")
        log.add("u2", 0.3, "impression", assigned("treatment"), attribution="invalid")
        log.add("u1", 9)
        log.flush()
        exposed, _ = counted(log)
        assert exposed.by_variant == {"control": 1, "treatment": 0}
        assert exposed.by_day == [(START_DAY, "control", 1)]

    def test_forced_users_are_left_out_and_counted(self, log: Log) -> None:
        log.show("qa", 0, "treatment", forced=True)
        log.show("u1", 0, "treatment", forced=True)
        log.show("u1", 1, "control")
        log.flush()
        exposed, _ = counted(log)
        assert exposed.by_variant == {"control": 1, "treatment": 0}
        assert exposed.forced == 1

    def test_fallbacks_stay_in_and_are_counted(self, log: Log) -> None:
        log.show("u1", 0, "treatment", fallback=True)
        log.show("u1", 1, "treatment")
        log.flush()
        exposed, _ = counted(log)
        assert (exposed.by_variant["treatment"], exposed.impressions, exposed.fallbacks) == (1, 2, 1)

    def test_users_seen_in_two_variants_are_left_out_and_counted(self, log: Log) -> None:
        log.show("u1", 0, "control")
        log.flush()
        counted(log)
        log.show("u1", 1, "treatment")
        log.show("u2", 1, "treatment")
        log.flush()
        exposed, _ = counted(log)
        assert (exposed.by_variant, exposed.crossed) == ({"control": 0, "treatment": 1}, 1)

    def test_phases_and_other_experiments_are_apart(self, log: Log) -> None:
        log.show("u1", 0, "control", phase=2)
        log.add("u1", 0.1, "impression", assigned("treatment", key="other"), assigned("control"))
        log.flush()
        exposed, _ = counted(log)
        assert exposed.by_variant == {"control": 1, "treatment": 0}

    def test_after_the_end_nobody_joins(self, log: Log) -> None:
        log.show("u1", 0, "control")
        log.show("u2", 5, "control")
        log.flush()
        exposed, _ = counted(log, definition(ended_at=BEGIN + timedelta(days=5)))
        assert exposed.users == 1

    def test_a_merged_visitor_is_the_account(self, log: Log) -> None:
        log.show("anon", 0, "treatment")
        log.add("anon", 0.1, "like")
        log.merge("anon", "half", 1)
        log.merge("half", "account", 1.1)
        log.show("account", 1.2, "treatment")
        log.add("account", 1.3, "like")
        log.add("account", 9)
        log.flush()
        exposed, users = counted(log)
        assert (exposed.by_variant["treatment"], exposed.crossed) == (1, 0)
        assert users["treatment"].columns["positives"].tolist() == [2]

    def test_export_names_users(self, log: Log) -> None:
        log.show("u1", 0.5, "control")
        log.flush()
        with aggregates(log.state_dir) as counts:
            find_exposed(counts.connection, definition())
            rows = exposures_table(counts.connection).to_pylist()
        assert [(row["user_id"], row["variant"], row["exposed_at"]) for row in rows] == [
            ("u1", "control", BEGIN + timedelta(days=0.5))
        ]


class TestOutcomes:
    def test_what_came_before_exposure_is_no_outcome(self, log: Log) -> None:
        log.add("u1", 0.1)
        log.show("u1", 0.2, "control")
        log.add("u1", 0.3, "view", assigned("control"), value=0.5)
        log.add("u1", 2.9, "like", session_id="s")
        log.add("u1", 3.0, "like")  # the fourth day is not of the window
        log.add("u1", 9)
        log.flush()
        _, users = counted(log)
        found = {name: values.tolist() for name, values in users["control"].columns.items()}
        assert found["views"] == [1]
        assert (found["impressions"], found["clicks"]) == ([1], [1])
        assert (found["completion"], found["completions"]) == ([0.5], [1])
        assert found["positives"] == [1]
        assert found["active_days"] == [2]
        assert found["sessions"] == [1]

    def test_covariates_are_of_the_days_before(self, log: Log) -> None:
        for day in (-40, -28, -1, -0.9, 0.1):
            log.add("u1", day)
        log.show("u1", 0.2, "control")
        log.add("u1", 9)
        log.flush()
        _, users = counted(log)
        assert users["control"].columns["before_views"].tolist() == [3]
        assert users["control"].columns["before_active_days"].tolist() == [2]

    def test_only_complete_windows_are_taken(self, log: Log) -> None:
        log.show("u1", 0, "control")
        log.show("u2", 1, "control")
        log.add("u3", 3.5)  # the fourth day is running, so days 0 to 2 are over
        log.flush()
        exposed, users = counted(log)
        assert exposed.users == 2
        assert len(users["control"]) == 1

    def test_a_session_counts_once_however_the_log_was_cut(self, log: Log) -> None:
        log.show("u1", 0, "control")
        for day in (0.5, 0.6, 1.1):
            log.add("u1", day, session_id="one")
            log.flush()
            counted(log)
        log.add("u1", 9)
        log.flush()
        _, users = counted(log)
        assert users["control"].columns["sessions"].tolist() == [1]

    def test_activity_is_of_complete_days(self, log: Log) -> None:
        log.add("u1", 0.1)
        log.show("u1", 0.2, "control")
        log.add("u1", 1.2)
        log.add("u1", 1.3)
        log.add("u1", 4)
        log.flush()
        with aggregates(log.state_dir) as counts:
            find_exposed(counts.connection, definition())
            prepare_activity(counts.connection, "exp", 1)
            activity = read_activity(counts.connection, counts.today)
        assert activity.first.tolist() == [START_DAY]
        assert activity.day.tolist() == [START_DAY, START_DAY + 1]  # day 4 is running


class TestErasure:
    def test_an_erased_user_is_forgotten_by_the_next_count(self, log: Log) -> None:
        log.show("u1", 0, "control")
        last = log.add("u1", 1)
        log.show("u2", 0, "control")
        log.add("u2", 9)
        log.flush()
        assert counted(log)[0].users == 2
        log.erase("u1", last)
        exposed, users = counted(log)
        assert exposed.users == 1
        assert users["control"].columns["clicks"].tolist() == [0]
        assert "u1" not in str(everything(log))
        assert not any(
            b"u1" in file.read_bytes()
            for file in (analysis_directory(log.state_dir)).rglob("*.parquet")
            if file.name == "exposures.parquet"
        )

    def test_what_an_erased_user_did_afterwards_stays(self, log: Log) -> None:
        until = log.show("u1", 0, "control")
        log.flush()
        counted(log)
        log.erase("u1", until)
        log.show("u1", 1, "treatment")
        log.add("u1", 9)
        log.flush()
        exposed, _ = counted(log)
        assert (exposed.by_variant, exposed.crossed) == ({"control": 0, "treatment": 1}, 0)

    def test_a_merge_into_an_erased_account_is_forgotten(self, log: Log) -> None:
        log.add("anon", 0)
        log.merge("anon", "account", 1)
        last = log.add("account", 2)
        log.flush()
        assert everything(log)["merges"]
        log.erase("account", last)
        assert everything(log)["merges"] == []
