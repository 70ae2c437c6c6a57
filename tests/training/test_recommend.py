"""What `make recommend` prints of a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.manifest import BlendSpec
from recsvc.bundle.types import Bundle, UserRow
from recsvc.eventlog.tombstones import Tombstones
from recsvc.scoring.blend import BlendScorer
from tests.builders import BLEND, make_bundle
from training.recommend import recommended_lines

POPULARITY = BlendSpec(bounds=[], weights={"factors": [0.0], "neighbours": [0.0], "popularity": [1.0]})


def printed(bundle: Bundle, user: str) -> list[tuple[float, str, str]]:
    """(score, item id, what stands in the brackets) of each line under the head."""
    head, *lines = recommended_lines(bundle, user, 20, Tombstones())
    assert head.startswith(f"{user} in {bundle.version}")
    return [(float(line.split()[0]), line.split()[1], line.split("  (")[1]) for line in lines]


@pytest.mark.parametrize("user", ["u000", "u002", "u030"])
def test_a_blend_is_printed_as_its_scorer_ranks_it(tmp_path: Path, user: str) -> None:
    bundle = make_bundle(tmp_path, kind="blend", blend=BLEND)
    row = bundle.users.row_of(user)
    assert row is not None
    items, confidence = bundle.interactions.of(UserRow(row))
    allowed = np.ones(300, dtype=np.bool_)
    allowed[items] = False
    scorer = BlendScorer(bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, BLEND)
    rows, scores = scorer.top(bundle.user_factors[row], items[confidence > 0], 20, allowed)
    lines = printed(bundle, user)
    assert [item for _, item, _ in lines] == [bundle.items[int(each)] for each in rows]
    np.testing.assert_allclose([score for score, _, _ in lines], scores, atol=6e-4)
    assert any(reason.startswith("because of Title of item") for _, _, reason in lines)


def test_what_comes_for_its_popularity_says_so(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, kind="popularity", blend=POPULARITY)
    assert {reason for _, _, reason in printed(bundle, "u001")} == {"popular)"}


def test_a_model_of_factors_alone_is_printed_by_its_factors(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    items, _ = bundle.interactions.of(UserRow(1))
    scores = bundle.item_factors @ bundle.user_factors[1]
    scores[items] = -np.inf
    best = np.argsort(-scores, kind="stable")[:20]
    assert [item for _, item, _ in printed(bundle, "u001")] == [bundle.items[int(each)] for each in best]
