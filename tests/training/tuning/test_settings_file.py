"""Settings written down are the settings read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import load_config
from training.tuning.settings_file import settings_text, write_whole


@pytest.mark.parametrize("dataset", ["none", "movielens-100k"])
def test_a_file_gives_back_exactly_the_settings_it_was_made_of(tmp_path: Path, dataset: str) -> None:
    base = load_config(dataset, None)
    interactions = base.interactions.model_copy(
        update={"unobserved_weight": 1.25e-05, "event_weights": base.interactions.event_weights | {"like": 7.0}}
    )
    content = base.content.model_copy(update={"regularizations": (1.0, 2.5)})
    split = base.split.model_copy(update={"kind": "leave_last_out"})
    wanted = base.model_copy(update={"interactions": interactions, "content": content, "split": split})
    file = tmp_path / "best.toml"
    write_whole(file, settings_text(wanted, base, ["one", "two"]))
    assert load_config(dataset, file) == wanted
    text = file.read_text("utf-8")
    assert text.startswith("# one\n# two\n")
    assert "[als]" not in text, "only what differs is written"


def test_nothing_changed_is_an_empty_file_of_settings(tmp_path: Path) -> None:
    base = load_config("none", None)
    file = tmp_path / "new folder" / "best.toml"
    write_whole(file, settings_text(base, base, []))
    assert load_config("none", file) == base
    assert [path.name for path in file.parent.iterdir()] == ["best.toml"]
