"""Every kind of model goes the whole way: trained, gated, promoted, measured again and compared."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from recsvc.bundle.manifest import Kind
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import UserRow
from recsvc.scoring.blend import BlendScorer
from recsvc.scoring.foldin import effective_regularization, fold_in
from tests.training.command import environment
from training.__main__ import main

KINDS: tuple[Kind, ...] = get_args(Kind)
SMALL = """
[als]
factors = 6
iterations = 4
[bpr]
iterations = 5
[neighbours]
keep = 10
[blend]
bounds = [3]
trials = 10
[validation]
share = 0.3
[gate]
tolerance = 0.9
"""


def write_events(path: Path, n_users: int = 120, n_items: int = 30, per_user: int = 8) -> Path:
    """Users of three tastes, one like a day each."""
    rng = np.random.default_rng(1)
    rows = [
        f"u{user},v{(user % 3) * 10 + int(rng.integers(n_items // 3))},like,{1_780_000_000 + day * 86_400 + user}"
        for day in range(per_user)
        for user in range(n_users)
    ]
    path.write_text("\n".join(["user_id,item_id,type,timestamp", *rows]) + "\n")
    return path


class Desk:
    """A workspace, and the commands run in it; in this process, because most of a command's time is its imports."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        for name, value in environment(folder).items():
            monkeypatch.setenv(name, value)
        self.folder = folder
        self.data = write_events(folder / "events.csv")
        self.registry = Registry(folder / "models")
        self._capsys = capsys

    def run(self, *arguments: str) -> str:
        """One command; what it printed."""
        status = main(list(arguments))
        said = self._capsys.readouterr()
        assert status == 0, said
        return said.out + said.err

    def train(self, command: str, kind: Kind) -> str:
        """`train` or `retrain` with the small settings."""
        config = self.folder / f"{kind}.toml"
        config.write_text(f'[model]\nkind = "{kind}"\n{SMALL}')
        return self.run(command, "--data", str(self.data), "--config", str(config))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_trained_promoted_measured_and_compared(kind: Kind, desk: Desk) -> None:
    desk.train("train", "als")
    (plain,) = desk.registry.versions()
    desk.run("promote", plain)
    said = desk.train("retrain", kind)
    version = desk.registry.champion()
    assert version is not None
    assert version != plain
    assert f"the champion {plain}" in said, "the gate refitted the champion's recipe"
    assert desk.registry.manifest(version).kind == kind
    line = next(line for line in desk.run("models").splitlines() if version in line)
    assert line.split()[:3] == ["*", version, kind]
    measured = desk.run("evaluate", "--version", version)
    means = desk.registry.manifest(version).metrics
    for model in {kind, "als", "popularity", "item-item"}:
        row = next(line for line in measured.splitlines() if line.startswith(f"{model} "))
        assert float(row.split()[1].rstrip("*")) == pytest.approx(means[model]["recall@10"], abs=1e-4)
    assert "A " + plain in desk.run("compare", plain, version)
    assert "consumed" in desk.run("recommend", "u1", "--limit", "3")


def test_a_published_blend_has_the_weights_learnt_and_its_users_are_those_of_fold_in(desk: Desk) -> None:
    said = desk.train("train", "blend")
    (version,) = desk.registry.versions()
    bundle = open_bundle(desk.registry.path(version), None)
    blend = bundle.manifest.blend
    assert blend is not None
    assert blend.bounds == [3]
    assert "ndcg@10 blend (everybody)" in bundle.manifest.metrics["validation"]
    assert "weights" in said
    scorer = BlendScorer(
        bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, blend, bundle.spectrum
    )
    objective, n_items = bundle.manifest.objective, bundle.manifest.n_items
    for row in range(0, len(bundle.users), 7):
        items, confidence = bundle.interactions.of(UserRow(row))
        regularization = effective_regularization(objective, n_items, confidence)
        folded = fold_in(bundle.gram, bundle.item_factors, items, confidence, regularization)
        np.testing.assert_allclose(folded.vector, bundle.user_factors[row], rtol=1e-3, atol=1e-6)
        best, scores = scorer.top(bundle.user_factors[row], items[confidence > 0], 5, None)
        assert len(best) == 5
        assert (np.diff(scores) <= 0).all()
