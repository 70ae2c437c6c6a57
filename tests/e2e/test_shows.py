"""The shows keep showing: each is run as `make show` runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["reaction", "erasure"])
def test_a_show_sees_what_it_promises(name: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.shows", name], capture_output=True, text=True, timeout=240, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
