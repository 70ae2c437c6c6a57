"""The shows keep showing: each is run as `make show` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsvc.bundle.registry import Registry
from tests.builders import BLEND, publish_bundle


@pytest.mark.parametrize("name", ["reaction", "erasure"])
def test_a_show_sees_what_it_promises(name: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.shows", name], capture_output=True, text=True, timeout=240, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_harness_agrees_with_itself_over_fewer_users() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.shows", "harness"],
        env=os.environ | {"CI": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "300 users" in said.stdout


def test_the_blend_that_is_there_is_shown_equal_online_and_offline(tmp_path: Path) -> None:
    version = publish_bundle(tmp_path, kind="blend", blend=BLEND)
    Registry(tmp_path).promote(version)
    said = subprocess.run(
        [sys.executable, "-m", "tests.shows", "blend"],
        env=os.environ | {"RECSVC_MODELS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "40 users, top 20" in said.stdout
    assert "different                                 0" in said.stdout
