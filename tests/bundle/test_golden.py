"""Bundles of every format version that was ever released stay readable for good."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsvc.bundle.reader import open_bundle
from recsvc.scoring.foldin import fold_in
from recsvc.scoring.retrieval import top_items

GOLDEN = Path(__file__).parent.parent / "golden"


def test_the_golden_bundle_of_format_1_still_reads_and_recommends() -> None:
    bundle = open_bundle(GOLDEN / "format-1" / "20261101T000000Z-00901d", None)
    assert (bundle.manifest.n_users, bundle.manifest.n_items, bundle.manifest.n_factors) == (6, 24, 3)
    assert list(bundle.users) == [f"u{i:03}" for i in range(6)]
    assert bundle.catalogue.title(5) == "Title of item 5"
    items, confidence = bundle.interactions.of(2)
    folded = fold_in(bundle.gram, bundle.item_factors, items, confidence, bundle.manifest.objective.regularization)
    np.testing.assert_allclose(folded.vector, bundle.user_factors[2], rtol=1e-5)
    allowed = np.ones(24, dtype=bool)
    allowed[items] = False
    rows, _ = top_items(bundle.index, folded.vector, 24, allowed)
    assert len(rows) == 24 - len(items)
