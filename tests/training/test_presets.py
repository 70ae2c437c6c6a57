"""The settings that ship: presets of known data sets, and what the accuracy benchmark changes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.accuracy.community import DATASET
from tests.bench.accuracy.rows import ROWS, Row
from training.config import load_config
from training.sources.load import KNOWN

PRESETS = sorted(Path("training/presets").glob("*.toml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_is_of_a_known_data_set_and_changes_the_defaults(path: Path) -> None:
    assert path.stem in KNOWN
    assert load_config(path.stem, None) != load_config("no such data set", None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_of_the_benchmark_has_a_recipe_of_the_kind_it_is_named_after(row: Row) -> None:
    config = load_config(row.dataset, row.settings)
    assert config.model.kind == row.name.split(".")[1].removesuffix("-128")
    assert config.als.factors <= (128 if row.name.endswith("-128") else 2048)


def test_the_rows_of_one_data_set_differ() -> None:
    for dataset in {row.dataset for row in ROWS}:
        recipes = [load_config(row.dataset, row.settings) for row in ROWS if row.dataset == dataset]
        assert all(a != b for place, a in enumerate(recipes) for b in recipes[:place])


def test_the_community_is_served_a_blend() -> None:
    assert load_config(DATASET, None).model.kind == "blend"
