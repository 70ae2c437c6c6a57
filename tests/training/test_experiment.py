"""Two recipes on one split: neither is trained on what it is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.training.events import Row, make_dataset
from training.config import RunConfig, load_config
from training.experiment import per_user
from training.progress import Progress


def with_weights(tmp_path: Path, **weights: float) -> RunConfig:
    path = tmp_path / "settings.toml"
    lines = [f"{name} = {value}" for name, value in weights.items()]
    settings = ["[als]", "factors = 8", "regularization = 1.0", "[interactions.event_weights]", *lines]
    path.write_text("\n".join(settings) + "\n")
    return load_config("nothing known", path)


def test_a_recipe_does_not_learn_what_the_other_one_holds_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows: list[Row] = []
    for user in range(80):
        items = rng.permutation(60)[:12]
        # Only likes count for the judge, and each user's last like is not the last of the user's events.
        types = ["view"] * 9 + ["like"] * 2 + ["view"]
        rows += [(f"u{user}", f"i{item}", kind, None, None) for item, kind in zip(items.tolist(), types, strict=True)]
    dataset = make_dataset(rows)
    judge, other = with_weights(tmp_path, view=0.0, like=2.0), with_weights(tmp_path, view=1.0, like=2.0)
    found = per_user(dataset, other, judge, "ndcg@10", Progress(quiet=True))
    # Items are drawn at random, so there is nothing to learn: a mean near 1 would mean that the test part was seen.
    assert found.mean() < 0.25
