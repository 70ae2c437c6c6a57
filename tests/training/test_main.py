"""The conductor of the training commands: how failures end."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import commands
from training.__main__ import USAGE_ERROR, main


def test_a_reader_that_went_away_is_not_told_as_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def closed(*_: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(commands, "models", closed)
    assert main(["--models-dir", str(tmp_path), "models"]) == USAGE_ERROR
    told = capsys.readouterr().err
    assert "the output was closed before its end" in told
    assert "make room" not in told
