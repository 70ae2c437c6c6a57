"""Training as its user runs it: commands in, a published bundle or a message that helps out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import UserRow
from recsvc.scoring.foldin import effective_regularization, fold_in


class Desk:
    """A workspace of its own and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry(folder / "models")
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSVC_")}
        self.environ |= {
            "RECSVC_MODELS_DIR": str(folder / "models"),
            "RECSVC_STATE_DIR": str(folder / "state"),
            "RECSVC_DATA_DIR": os.environ.get("RECSVC_DATA_DIR", str(folder / "data")),
        }

    def run(self, *arguments: str, expect: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "training", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def write(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return str(self.folder / name)

    @property
    def published(self) -> list[str]:
        models = self.folder / "models"
        return [path.name for path in models.iterdir() if path.name != ".lock"] if models.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _events(n_users: int = 40, n_items: int = 30, *, per_user: int = 8) -> str:
    rng = np.random.default_rng(1)
    lines = ["who,what,kind,at"]
    for step in range(per_user):
        for user in range(n_users):
            item = (user % 3) * (n_items // 3) + int(rng.integers(n_items // 3))
            lines.append(f"u{user},v{item},like,2026-10-{1 + step:02}T12:{user % 60:02}:00Z")
    return "\n".join(lines) + "\n"


COLUMNS = ("--columns", "user_id=who,item_id=what,type=kind,timestamp=at")


def test_own_events_are_trained_promoted_listed_compared_rolled_back_and_pruned(desk: Desk) -> None:
    data = desk.write("events.csv", _events())
    config = desk.write("small.toml", "[als]\nfactors = 4\niterations = 3\n[gate]\ntolerance = 0.9\n")
    source = ("--data", data, *COLUMNS, "--config", config)
    said = desk.run("train", *source)
    assert "popularity" in said
    first = desk.registry.versions()[0]
    assert desk.registry.champion() is None, "training publishes, it does not promote"
    assert (desk.registry.path(first) / "report.html").read_text().startswith("<!doctype html>")
    desk.run("promote", first)
    said = desk.run("retrain", *source)
    second = desk.registry.champion()
    assert second is not None
    assert second != first
    assert f"the champion {first}" in said
    assert first in desk.run("models")
    assert "40 users" in desk.run("compare", first, second) or "same" in desk.run("compare", first, second)
    assert "because of" in desk.run("recommend", "u1", "--limit", "3")
    desk.run("rollback")
    assert desk.registry.champion() == first
    desk.run("prune", "1")
    assert "nothing to train" in desk.run("ensure", *source)


def test_the_gate_refuses_what_is_worse_and_says_by_how_much(desk: Desk) -> None:
    data = desk.write("events.csv", _events(90, 30, per_user=10))
    good = desk.write("good.toml", "[als]\nfactors = 4\n")
    bad = desk.write("bad.toml", "[als]\nfactors = 1\nregularization = 1e9\niterations = 1\n")
    desk.run("retrain", "--data", data, *COLUMNS, "--config", good)
    champion = desk.registry.champion()
    said = desk.run("retrain", "--data", data, *COLUMNS, "--config", bad, expect=1)
    assert desk.registry.champion() == champion
    assert "worse" in said
    assert "%" in said
    newest = desk.registry.versions()[0]
    assert "FORCE=1" in desk.run("promote", newest, expect=1)
    desk.run("promote", newest, "--force")
    assert desk.registry.champion() == newest


GOOD = "u1,v1,like,1700000000\nu1,v2,like,1700000001\nu2,v1,like,1700000002\n"

BAD_INPUT = {
    "no such file": (None, "nowhere.csv"),
    "empty": ("", "empty"),
    "header only": ("user_id,item_id,type,timestamp\n", "header"),
    "unknown columns": ("a,b\n1,2\n", "columns"),
    "one user": ("user_id,item_id,type,timestamp\n" + "u1,v1,like,1700000000\nu1,v2,like,1700000001\n", "1 user "),
    "one item": ("user_id,item_id,type,timestamp\n" + "u1,v1,like,1700000000\nu2,v1,like,1700000001\n", "1 item "),
    "NaN": ("user_id,item_id,type,timestamp,value\nu1,v1,view,1700000000,nan\nu2,v2,view,1700000001,1\n", ":2"),
    "mixed times": ("user_id,item_id,type,timestamp\n" + GOOD + "u2,v2,like,2026-01-01T00:00:00Z\n", ":5"),
    "unknown type": ("user_id,item_id,type,timestamp\n" + GOOD + "u2,v2,adore,1700000000\n", "adore"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_exits_with_2_names_the_file_and_leaves_no_model(desk: Desk, case: str) -> None:
    content, named = BAD_INPUT[case]
    path = str(desk.folder / "nowhere.csv") if content is None else desk.write("input.csv", content)
    said = desk.run("train", "--data", path, expect=2)
    assert "error: " in said
    assert Path(path).name in said
    assert named.lower().strip(":") in said.lower()
    assert desk.published == []


def test_a_truncated_parquet_file_is_named(desk: Desk) -> None:
    path = desk.folder / "events.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 64)
    said = desk.run("train", "--data", str(path), expect=2)
    assert "events.parquet" in said
    assert desk.published == []


def test_a_missing_data_set_says_which_file_and_where_it_is_published(desk: Desk) -> None:
    desk.environ["RECSVC_DATA_DIR"] = str(desk.folder)
    said = desk.run("train", "--dataset", "movielens-100k", expect=2)
    assert "u.data" in said
    assert "grouplens.org" in said


@pytest.mark.skipif(
    not (Path(os.environ.get("RECSVC_DATA_DIR", "data")) / "deskdrop").is_dir(),
    reason="RECSVC_DATA_DIR has no deskdrop",
)
def test_folding_in_every_user_of_deskdrop_gives_the_stored_row(desk: Desk) -> None:
    desk.run("--quiet", "train", "--dataset", "deskdrop")
    bundle = open_bundle(desk.registry.path(desk.registry.versions()[0]), None)
    manifest = bundle.manifest
    worst = 0.0
    for row in range(len(bundle.users)):
        items, confidence = bundle.interactions.of(UserRow(row))
        regularization = effective_regularization(manifest.objective, manifest.n_items, confidence)
        folded = fold_in(bundle.gram, bundle.item_factors, items, confidence, regularization)
        stored = bundle.user_factors[row]
        size = float(np.linalg.norm(stored))
        distance = float(np.linalg.norm(folded.vector - stored))
        assert size > 0 or distance == 0
        worst = max(worst, distance / size if size else 0.0)
    assert len(bundle.users) == 1895
    assert worst <= 1e-4
