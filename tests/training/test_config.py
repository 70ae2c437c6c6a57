"""Settings: defaults, presets, overrides, and errors that name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsvc.events.schema import EVENT_TYPES
from training.config import load_config
from training.errors import ConfigInvalid


def test_every_event_type_has_a_documented_weight() -> None:
    assert set(load_config("none", None).interactions.event_weights) == set(EVENT_TYPES)


@pytest.mark.parametrize("preset", sorted(path.stem for path in Path("training/presets").glob("*.toml")))
def test_every_preset_is_valid(preset: str) -> None:
    assert load_config(preset, None).als.factors >= 0


def test_a_file_changes_only_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[als]\nfactors = 12\n")
    assert load_config("none", file).als.factors == 12
    assert load_config("none", file).als.seed == load_config("none", None).als.seed


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[als]\nfactor = 12\n", r"als\.factor"),
        ("[als]\nfactors = -1\n", r"als\.factors"),
        ("[als]\nregularization = nan\n", r"als\.regularization"),
        ("[interactions.event_weights]\nwatch = 1.0\n", r"interactions\.event_weights"),
        ("[als\n", "not a readable TOML file"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(ConfigInvalid, match=named) as caught:
        load_config("none", file)
    assert "mine.toml" in str(caught.value)


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no such settings file"):
        load_config("none", tmp_path / "gone.toml")


def test_bpr_takes_a_number_of_factors_by_size_but_not_one_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[model]\nkind = "bpr"\n[als]\nfactors = 0\n')
    assert load_config("none", file).factors_kind == "bpr"
    file.write_text('[model]\nkind = "bpr"\n[als]\nfactors = 1\n')
    with pytest.raises(ConfigInvalid, match="bias"):
        load_config("none", file)
