"""`make tune` as its user runs it: interrupted, killed, resumed, and what it leaves."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import optuna
import pytest

from tests.training.command import environment, training, words, write_likes
from training.config import load_config
from training.errors import ConfigInvalid, DataInvalid
from training.plan import Places, Plan, Source
from training.progress import Progress
from training.tuning.study import complete, counted, study_at
from training.tuning.tune import Asked, tune

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

MORE = 4
SMALL = "[als]\nfactors = 16\niterations = 3\n"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a search was killed with SIGKILL after a few trials and then run to its end."""
    folder = tmp_path_factory.mktemp("tune")
    endless = [*source(folder), "--trials", "500", "--max-factors", "32"]
    with subprocess.Popen(words(*endless), env=environment(folder), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while sum(line.startswith("  trial ") for line in lines) < 3:
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        refused = training(folder, *endless, expect=2)
        process.kill()
    (folder / "refused").write_text(refused)
    kept = len(finished(folder))
    (folder / "kept").write_text(str(kept))
    resumed = [*source(folder), "--trials", str(kept + MORE), "--max-factors", "32"]
    (folder / "said").write_text(training(folder, *resumed))
    return folder


def source(folder: Path) -> list[str]:
    config = folder / "mine.toml"
    config.write_text(SMALL)
    return ["tune", "--data", str(write_likes(folder / "likes.csv", 40, 30)), "--config", str(config)]


def study(folder: Path) -> optuna.Study:
    (path,) = (folder / "state" / "tune").glob("*.db")
    return optuna.load_study(study_name="tune", storage=f"sqlite:///{path}")


def finished(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return counted(study(folder))


def results(folder: Path) -> Path:
    (path,) = (path for path in (folder / "state" / "tune").iterdir() if path.is_dir())
    return path


def test_a_killed_search_goes_on_with_the_trials_it_had(tuned: Path) -> None:
    kept = int((tuned / "kept").read_text())
    assert kept >= 3
    assert f"resuming: {kept} trials so far, best " in (tuned / "said").read_text()
    trials = finished(tuned)
    assert len(trials) == kept + MORE
    assert not study(tuned).get_trials(states=(optuna.trial.TrialState.RUNNING,))


def test_the_same_settings_are_not_drawn_twice_by_the_resumed_search(tuned: Path) -> None:
    drawn = [tuple(trial.params.values()) for trial in finished(tuned)]
    assert len(set(drawn)) == len(drawn)


def test_the_best_is_shown_beside_what_was_begun_with_and_is_no_worse(tuned: Path) -> None:
    said = (tuned / "said").read_text()
    row = re.search(r"^ndcg@10 +([\d.]+) +([\d.]+)$", said, re.MULTILINE)
    assert row is not None
    assert float(row[1]) <= float(row[2])
    best = complete(study(tuned))[0]
    assert float(row[2]) == pytest.approx(best.value, abs=5e-5)
    assert "next: make train DATA=" in said


def test_the_best_settings_train_a_model(tuned: Path) -> None:
    best = results(tuned) / "best.toml"
    written = tomllib.loads(best.read_text("utf-8"))
    likes = str(tuned / "likes.csv")
    said = training(tuned, "train", "--data", likes, "--config", str(best))
    assert "version: " in said
    assert written["als"]["iterations"] == complete(study(tuned))[0].user_attrs["epochs"]


def test_the_report_is_one_page_that_needs_nothing_else(tuned: Path) -> None:
    page = (results(tuned) / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)[^"]*//', page)
    assert page.count("<svg") >= 4
    for title in ("Accuracy against the time of a miss", "Accuracy against size", "What was tried", "Each setting"):
        assert title in page
    assert "(begun with)" in page


def test_ctrl_c_ends_with_a_report_of_what_was_done(tmp_path: Path) -> None:
    command = words(*source(tmp_path), "--trials", "500", "--max-factors", "16")
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("  trial 1 ")):
            lines.append(process.stdout.readline())
            assert lines[-1], "".join(lines)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(60) == 0, said
    assert "the same command goes on" in said
    assert (results(tmp_path) / "best.toml").exists()
    assert "Traceback" not in said


def test_two_searches_of_the_same_do_not_run_at_once(tuned: Path) -> None:
    assert "another run is tuning this" in (tuned / "refused").read_text()


def test_no_time_at_all_is_an_error_that_says_how_to_go_on(tmp_path: Path) -> None:
    file = write_likes(tmp_path / "likes.csv", 40, 30)
    plan = Plan(Source(str(file), tmp_path), load_config(str(file), None))
    with pytest.raises(DataInvalid, match="MINUTES="):
        tune(plan, Places(tmp_path, tmp_path), Asked(0.0, 5, 16), Progress(quiet=True))


def test_a_damaged_file_of_trials_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    path.write_text("no database")
    with pytest.raises(ConfigInvalid, match=r"mine\.db: cannot be used .* move it away"), study_at(path, 1):
        pass


@pytest.mark.parametrize(
    "settings", ['[model]\nkind = "linear"\n', '[model]\nkind = "blend"\n[blend]\nfactors = "bpr"\n']
)
def test_a_kind_without_als_factors_is_refused(tmp_path: Path, settings: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(settings)
    plan = Plan(Source("sample", tmp_path), load_config("sample", file))
    with pytest.raises(ConfigInvalid, match=r"model\.kind"):
        tune(plan, Places(tmp_path, tmp_path), Asked(1.0, 5, 16), Progress(quiet=True))
