"""A vector for an item from what is known of it, before anybody has met it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from recsvc.bundle.types import ContentMap, Float32


def item_features(categories: Iterable[str], creator: str | None, attributes: Mapping[str, object]) -> list[str]:
    """The names of an item's features, each once: `category:cooking`, `creator:c4`, `attribute:language=pt`.

    "" or None for a creator that is not known. A whole number is written without a fraction, so that 7 and 7.0 are
    one feature, true and false in lower case. What is neither text nor a number nor true or false is no feature.
    """
    names = [f"category:{name}" for name in categories]
    if creator:
        names.append(f"creator:{creator}")
    for name, value in attributes.items():
        if (text := _text(value)) is not None:
            names.append(f"attribute:{name}={text}")
    return list(dict.fromkeys(names))


def content_vector(content: ContentMap, features: Iterable[str]) -> Float32 | None:
    """bias + Σ weights of the features that the map knows; float32 (n_factors,), None when it knows none of them."""
    rows = content.features.rows_of(features)
    if not len(rows):
        return None
    vector: Float32 = content.bias + content.weights[rows].sum(axis=0)
    return vector


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and np.isfinite(value):
        return str(int(value)) if value == int(value) else repr(value)
    return None
