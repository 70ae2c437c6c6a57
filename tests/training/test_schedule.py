"""When it is time to retrain, and a schedule as a process."""

from __future__ import annotations

import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from recsvc.bundle.registry import Registry
from recsvc.eventlog.position import BEGINNING
from recsvc.eventlog.tombstones import Tombstone, Tombstones, digest_of, write_tombstones
from tests.builders import publish_bundle
from tests.training.command import environment, training, words, write_likes
from tests.training.event_log import event, write_log
from training.plan import Places
from training.schedule import Rules, made_at, pause_after, reason_to_retrain
from training.sources.load import load

HOUR, DAY = 3600.0, 86_400.0
MADE = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
V1, V2 = "20261123T120000Z-000001", "20261123T130000Z-000002"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "models", tmp_path / "state")


def champion(places: Places, version: str = V1, **built: object) -> None:
    publish_bundle(places.models_dir, version=version, n_users=6, n_items=30, **built)  # type: ignore[arg-type]
    Registry(places.models_dir).promote(version)


def log_ends(places: Places) -> dict[str, str]:
    dataset = load(
        "log",
        data_dir=places.state_dir,
        columns={},
        catalogue=None,
        max_reject_share=0.5,
        rejects_path=places.state_dir / "rejects.csv",
        state_dir=places.state_dir,
    )
    assert dataset.log_ends is not None
    return dataset.log_ends


class TestReasons:
    def test_without_a_champion_it_is_time(self, places: Places) -> None:
        assert reason_to_retrain(places, Rules(1, None), MADE) == "there is no champion yet"

    def test_the_age_of_the_newest_version_counts(self, places: Places) -> None:
        champion(places)
        assert made_at(V1) == MADE
        assert reason_to_retrain(places, Rules(6, None), MADE + 5.9 * HOUR) is None
        assert reason_to_retrain(places, Rules(6, None), MADE + 6 * HOUR) == "the newest version is 6.0 hours old"

    def test_a_refused_version_counts_as_a_try(self, places: Places) -> None:
        champion(places)
        publish_bundle(places.models_dir, version=V2, passed=False, n_users=6, n_items=30)
        assert reason_to_retrain(places, Rules(6, None), MADE + 6.5 * HOUR) is None

    def test_new_rows_since_the_ends_of_the_newest_version_count(self, places: Places) -> None:
        write_log(places.state_dir, [event("u1", "v1", 1), event("u2", "v1", 2)])
        champion(places, log_ends=log_ends(places))
        rules = Rules(None, 2)
        write_log(places.state_dir, [event("u1", "v2", 3)], first=10)
        assert reason_to_retrain(places, rules, MADE) is None
        write_log(places.state_dir, [event("u1", "v3", 4)], first=20)
        assert reason_to_retrain(places, rules, MADE) == "2 new events in the log"

    def test_a_champion_that_knows_an_erased_user_is_replaced_in_good_time(self, places: Places) -> None:
        champion(places)
        write_tombstones(places.state_dir, Tombstones([Tombstone(digest_of("u003"), BEGINNING, MADE)]))
        rules = Rules(10_000, None)
        assert reason_to_retrain(places, rules, MADE + 20 * DAY) is None
        found = reason_to_retrain(places, rules, MADE + 22 * DAY)
        assert found == f"the champion {V1} knows a user erased more than 21 days ago"
        publish_bundle(places.models_dir, version="20261215T110000Z-000003", passed=False, n_users=6, n_items=30)
        assert reason_to_retrain(places, rules, MADE + 22 * DAY) is None, "it was tried an hour ago"


def test_pauses_grow_to_six_hours() -> None:
    assert [pause_after(failures) for failures in (0, 1, 2, 3)] == [0, 60, 120, 240]
    assert pause_after(50) == 6 * HOUR


def test_rules_are_said_in_words() -> None:
    assert Rules(24, None).words() == "every 24 hours"
    assert Rules(1.5, 10_000).words() == "every 1.5 hours and every 10,000 new events"


class Running:
    """A schedule as its user runs it, on small settings of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.output = folder / "said.txt"
        command = words("schedule", "--look-every-seconds", "0.1", *arguments)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment(folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                # Tests under nohup have SIGHUP ignored, and hand that on.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> str:
        for _ in range(1200):
            if text in self.said():
                return self.said()
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise AssertionError(f"never said {text!r}: {self.said()}")

    def child(self) -> int:
        for _ in range(200):
            if children := children_of(self.process.pid):
                return children[0]
            time.sleep(0.05)
        raise AssertionError(f"no run began: {self.said()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def children_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


class TestProcess:
    def test_it_retrains_on_new_events_promotes_and_ends_cleanly(self, tmp_path: Path) -> None:
        data = write_likes(tmp_path / "events.csv")
        registry = Registry(tmp_path / "models")
        training(tmp_path, "retrain", "--data", str(data))
        first = registry.champion()
        running = Running(tmp_path, "--every-events", "3")
        try:
            running.wait_for("retraining every 3 new events")
            write_log(tmp_path / "state", [event("u1", f"v{number}", number) for number in range(3)])
            running.wait_for("retraining: 3 new events in the log")
            said = running.wait_for("done: the champion is ")
        finally:
            status = running.end()
        assert status == 0
        second = registry.champion()
        assert second not in (None, first)
        assert f"done: the champion is {second}" in said
        manifest = registry.manifest(str(second))
        assert manifest.data.name == f"{data} + log"
        assert manifest.recipe["source"]["with_log"] is True
        assert running.said().rstrip().endswith("the schedule has ended")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_to_end_ends_the_child_too_and_leaves_nothing_half_made(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        running = Running(tmp_path)
        running.wait_for("retraining: there is no champion yet")
        child = running.child()
        assert running.end(number) == 0
        assert not psutil.pid_exists(child)
        assert not list((tmp_path / "models").glob(".*.writing"))

    def test_no_schedule_begins_beside_a_run_whose_own_schedule_was_killed(self, tmp_path: Path) -> None:
        running = Running(tmp_path)
        running.wait_for("retraining: there is no champion yet")
        child = psutil.Process(running.child())
        child.suspend()
        running.end(signal.SIGKILL)
        try:
            said = training(tmp_path, "schedule", expect=2)
            assert "or a run that outlived it, already retrains" in said
        finally:
            child.kill()
        child.wait(60)
        again = Running(tmp_path)
        again.wait_for("retraining every 24 hours")
        assert again.end() == 0

    def test_a_second_schedule_of_the_same_registry_is_refused(self, tmp_path: Path) -> None:
        running = Running(tmp_path)
        try:
            running.wait_for("retraining every 24 hours")
            said = training(tmp_path, "schedule", expect=2)
        finally:
            running.end()
        assert f"a schedule (process {running.process.pid}), or a run that outlived it, already retrains" in said

    def test_a_failed_run_is_said_and_tried_again_later(self, tmp_path: Path) -> None:
        (tmp_path / "state" / "live").mkdir(parents=True)
        (tmp_path / "state" / "live" / "erasures.jsonl").write_text("not one\n")
        running = Running(tmp_path)
        try:
            said = running.wait_for("next try in 1 minutes")
        finally:
            running.end()
        assert "failed with status 2: error: " in said
        assert "erasures.jsonl, line 1" in said
