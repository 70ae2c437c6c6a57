"""The commands of the pipeline, run as their user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def words(*arguments: str) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "training", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """The variables of a workspace of its own in `folder`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RECSVC_")}
    return environ | {
        "RECSVC_MODELS_DIR": str(folder / "models"),
        "RECSVC_STATE_DIR": str(folder / "state"),
        "RECSVC_DATA_DIR": str(folder / "data"),
    }


def training(folder: Path, *arguments: str, expect: int = 0) -> str:
    """One command run to its end; what it printed."""
    done = subprocess.run(
        words(*arguments), env=environment(folder), capture_output=True, text=True, timeout=200, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == expect, said
    assert "Traceback" not in said
    return said


def write_likes(path: Path, n_users: int = 30, n_items: int = 20, *, per_user: int = 12) -> Path:
    """A file of events: user u7 likes v0, v1, … one a minute, each user beginning elsewhere."""
    steps = [(user, step) for step in range(per_user) for user in range(n_users)]
    likes = [f"u{user},v{(user * 7 + step) % n_items},like,{1_780_000_000 + step * 60 + user}" for user, step in steps]
    path.write_text("\n".join(["user_id,item_id,type,timestamp", *likes]) + "\n")
    return path
