"""Bundles of every format version that was ever released stay readable for good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import ItemRow, UserRow
from recsvc.scoring.blend import BlendScorer
from recsvc.scoring.content import content_vector
from recsvc.scoring.foldin import effective_regularization, fold_in
from recsvc.scoring.retrieval import top_items

GOLDEN = Path(__file__).parent.parent / "golden"


FORMAT_1 = GOLDEN / "format-1" / "20261101T000000Z-00901d"
FORMAT_2 = GOLDEN / "format-2" / "20261123T000000Z-00902d"
FORMAT_3 = GOLDEN / "format-3" / "20261127T000000Z-00903d"
FORMAT_4 = GOLDEN / "format-4" / "20261128T000000Z-00904d"


@pytest.mark.parametrize("path", [FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4], ids=["1", "2", "3", "4"])
def test_the_golden_bundle_of_each_format_still_reads_and_recommends(path: Path) -> None:
    bundle = open_bundle(path, None)
    assert (bundle.manifest.n_users, bundle.manifest.n_items, bundle.manifest.n_factors) == (6, 24, 3)
    assert list(bundle.users) == [f"u{i:03}" for i in range(6)]
    assert bundle.catalogue.title(5) == "Title of item 5"
    items, confidence = bundle.interactions.of(2)
    regularization = effective_regularization(bundle.manifest.objective, bundle.manifest.n_items, confidence)
    folded = fold_in(bundle.gram, bundle.item_factors, items, confidence, regularization)
    np.testing.assert_allclose(folded.vector, bundle.user_factors[2], rtol=1e-5)
    allowed = np.ones(24, dtype=bool)
    allowed[items] = False
    rows, _ = top_items(bundle.index, folded.vector, 24, allowed)
    assert len(rows) == 24 - len(items)


def test_a_bundle_of_format_1_has_nothing_that_came_with_format_2() -> None:
    bundle = open_bundle(FORMAT_1, None)
    assert bundle.content is None
    manifest = bundle.manifest
    assert (manifest.log_ends, manifest.erasures_applied_at, manifest.content) == (None, None, None)


def test_the_golden_bundle_of_format_2_gives_an_unseen_item_a_vector() -> None:
    bundle = open_bundle(FORMAT_2, None)
    assert bundle.manifest.log_ends == {"007": "1763856000000-3"}
    assert bundle.manifest.erasures_applied_at == 1_763_000_000.0
    assert bundle.content is not None
    vector = content_vector(bundle.content, ["category:music", "creator:nobody"])
    row = bundle.content.features.row_of("category:music")
    assert vector is not None
    np.testing.assert_allclose(vector, bundle.content.bias + bundle.content.weights[row], rtol=1e-6)


@pytest.mark.parametrize("path", [FORMAT_1, FORMAT_2], ids=["1", "2"])
def test_bundles_before_format_3_are_plain_als(path: Path) -> None:
    bundle = open_bundle(path, None)
    assert (bundle.manifest.kind, bundle.manifest.blend, bundle.neighbours) == ("als", None, None)
    assert bundle.manifest.objective.frequency_exponent == 0


@pytest.mark.parametrize("path", [FORMAT_3, FORMAT_4], ids=["3", "4"])
def test_the_golden_bundles_of_blends_score_by_their_components(path: Path) -> None:
    bundle = open_bundle(path, None)
    assert bundle.manifest.kind == "blend"
    assert bundle.manifest.blend is not None
    assert bundle.manifest.blend.bounds == [4, 8]
    items, confidence = bundle.interactions.of(UserRow(5))
    history = items[confidence > 0]
    assert len(history) > 8
    scorer = BlendScorer(
        bundle.index, bundle.item_factors, bundle.neighbours, bundle.popularity, bundle.manifest.blend, bundle.spectrum
    )
    rows = np.arange(24, dtype=np.int32)
    assert bundle.neighbours is not None
    expected = bundle.item_factors @ bundle.user_factors[5]
    for item in history:
        spoken_for, weights = bundle.neighbours.of(ItemRow(int(item)))
        expected[spoken_for] += weights
        if bundle.spectrum is not None:
            vectors, scale = bundle.spectrum.vectors, bundle.spectrum.scale
            expected += 2.0 * (vectors @ vectors[item]) * scale / scale[item] / np.sqrt(len(history))
    np.testing.assert_allclose(scorer.score(bundle.user_factors[5], history, rows), expected, rtol=1e-5, atol=1e-6)


def test_only_format_4_has_a_spectrum() -> None:
    assert open_bundle(FORMAT_3, None).spectrum is None
    assert open_bundle(FORMAT_4, None).spectrum is not None
