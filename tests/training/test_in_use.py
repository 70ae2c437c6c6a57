"""Versions of running experiments are known by the definitions that the service leaves in the state directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.bundle.registry import Registry
from tests.api.experimenters import put, start
from tests.builders import publish_bundle
from tests.running import RunningService, wait_until
from training.__main__ import main
from training.errors import DataInvalid
from training.in_use import versions_in_use


def test_what_a_service_runs_an_experiment_with_is_not_pruned(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = RunningService(tmp_path, redis_url)
    old = running.publish(promote=False, version="20261101T000000Z-aaaaaa")
    drafted = running.publish(promote=False, version="20261102T000000Z-aaaaaa", seed=1)
    champion = running.publish(version="20261103T000000Z-aaaaaa", seed=2)
    with running:
        put(running, "draft", variants=[{"key": "control"}, {"key": "b", "model": drafted}])
        start(running, "live", variants=[{"key": "control"}, {"key": "b", "model": old}])
        wait_until(lambda: versions_in_use(running.state_dir) == {old: "live"})
        monkeypatch.setenv("RECSVC_MODELS_DIR", str(running.models_dir))
        monkeypatch.setenv("RECSVC_STATE_DIR", str(running.state_dir))
        assert main(["prune", "1"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"removed {drafted}",
            f"kept {old}: experiment live is running with it",
        ]
        assert set(Registry(running.models_dir).versions()) == {old, champion}


def test_a_definition_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    publish_bundle(tmp_path / "models")
    path = tmp_path / "experiments" / "x.json"
    path.parent.mkdir()
    for text in ("{", "[]", '{"state": "running"}', '{"state": "running", "variants": [1]}'):
        path.write_text(text)
        with pytest.raises(DataInvalid, match=str(path)):
            versions_in_use(tmp_path)


def test_without_experiments_nothing_is_in_use(tmp_path: Path) -> None:
    assert versions_in_use(tmp_path) == {}
