"""Metadata to features, and features to a vector."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.bundle.types import ContentMap, IdTable
from recsvc.scoring.content import content_vector, item_features

CONTENT = ContentMap(
    features=IdTable.of(["category:cooking", "creator:ada"]),
    weights=np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32),
    bias=np.array([0.5, 0.5], dtype=np.float32),
)


def test_features_name_categories_creator_and_attributes() -> None:
    found = item_features(["cooking", "travel"], "ada", {"language": "pt", "live": True, "length": 7.0, "score": 0.5})
    assert found == [
        "category:cooking",
        "category:travel",
        "creator:ada",
        "attribute:language=pt",
        "attribute:live=true",
        "attribute:length=7",
        "attribute:score=0.5",
    ]


@pytest.mark.parametrize("creator", ["", None])
def test_what_is_not_known_is_no_feature(creator: str | None) -> None:
    assert item_features([], creator, {"list": [1], "nothing": None, "nan": float("nan"), "inf": float("inf")}) == []


def test_a_category_given_twice_counts_once() -> None:
    assert item_features(["cooking", "cooking"], "", {}) == ["category:cooking"]


def test_a_whole_number_is_one_feature_however_it_was_written() -> None:
    assert item_features([], "", {"year": 2026}) == item_features([], "", {"year": 2026.0})


def test_a_vector_is_the_bias_and_the_weights_of_what_is_known() -> None:
    vector = content_vector(CONTENT, ["creator:ada", "category:cooking", "attribute:never=seen"])
    assert vector is not None
    assert vector.dtype == np.float32
    assert vector.tolist() == [1.5, 2.5]


def test_an_item_with_no_known_feature_has_no_vector() -> None:
    assert content_vector(CONTENT, ["creator:eve"]) is None
    assert content_vector(CONTENT, []) is None
