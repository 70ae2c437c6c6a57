"""What an opened bundle is refused for, whatever its checksums say. Each check raises BundleCorrupt naming the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recsvc.bundle.errors import BundleCorrupt
from recsvc.bundle.files import INDEX_NAME, ORDER_ARRAYS
from recsvc.bundle.types import Bundle, Int64

_MATRICES: Final = frozenset({"user_factors", "item_factors", "gram", "content_weights", "spectrum.vectors"})


def check_form(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """What can be told of each array without reading it."""
    for name, array in arrays.items():
        file = path / f"{name}.npy"
        if name not in _MATRICES and array.ndim != 1:
            raise BundleCorrupt(file, f"has {array.ndim} dimensions, the format says 1")
        if name.endswith((".offsets", ".indptr")) and (not len(array) or array[0] != 0):
            raise BundleCorrupt(file, "does not begin with 0")
    for name in (name for name in arrays if name.endswith(".offsets")):
        data = name.replace(".offsets", ".data")
        if int(arrays[name][-1]) != len(arrays[data]):
            raise BundleCorrupt(path / f"{name}.npy", f"does not fit {data}.npy")


def check_ascending(path: Path, name: str, offsets: Int64) -> None:
    """That no place lies before the one before it."""
    if bool((np.diff(offsets) < 0).any()):
        raise BundleCorrupt(path / f"{name}.npy", "is not ascending")


def check_content(bundle: Bundle) -> None:
    """The content map is small enough to be looked at whole."""
    if bundle.content is None:
        return
    check_ascending(bundle.path, "content_features.offsets", bundle.content.features.offsets)
    for name, values in (("content_weights", bundle.content.weights), ("content_bias", bundle.content.bias)):
        if not np.isfinite(values).all():
            raise BundleCorrupt(bundle.path / f"{name}.npy", "holds a value that is not finite")


def check_popularity(bundle: Bundle) -> None:
    """Popularity is one number an item: small enough to be looked at whole."""
    if not np.isfinite(bundle.popularity).all() or (bundle.popularity < 0).any():
        raise BundleCorrupt(bundle.path / "popularity.npy", "holds a value that is negative or not finite")


def check_gram(bundle: Bundle) -> None:
    """Every history is folded in with it, and none can be with a gram that is no YᵀY: it is looked at whole."""
    file, gram = bundle.path / "gram.npy", bundle.gram
    if not np.isfinite(gram).all():
        raise BundleCorrupt(file, "holds a value that is not finite")
    if ((gram if gram.ndim == 1 else gram.diagonal()) < 0).any():
        raise BundleCorrupt(file, "holds a negative sum of squares")


def check_neighbours(bundle: Bundle, *, values: bool) -> None:
    """That rows end where the next one begins and, with `values`, each item and weight: that takes as long as reading
    them."""
    if bundle.neighbours is None:
        return
    neighbours, path = bundle.neighbours, bundle.path
    check_ascending(path, "neighbours.indptr", neighbours.indptr)
    if not values:
        return
    items = neighbours.items
    if len(items) and (items.min() < 0 or items.max() >= bundle.manifest.n_items):
        raise BundleCorrupt(path / "neighbours.items.npy", "names items that the bundle does not have")
    starts = np.zeros(len(items) + 1, dtype=np.bool_)
    starts[neighbours.indptr] = True
    if bool(((np.diff(items) <= 0) & ~starts[1:-1]).any()):
        raise BundleCorrupt(path / "neighbours.items.npy", "is not ascending within a row")
    if not np.isfinite(neighbours.weights).all():
        raise BundleCorrupt(path / "neighbours.weights.npy", "holds a value that is not finite")


def check_spectrum(bundle: Bundle) -> None:
    """That its numbers can be computed with: looked at whole, which takes as long as reading them."""
    if bundle.spectrum is None:
        return
    if not np.isfinite(bundle.spectrum.vectors).all():
        raise BundleCorrupt(bundle.path / "spectrum.vectors.npy", "holds a value that is not finite")
    scale = bundle.spectrum.scale
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise BundleCorrupt(bundle.path / "spectrum.scale.npy", "holds a value that is not above 0 or not finite")


def check_orders(bundle: Bundle) -> None:
    """That the orders name items of the bundle, which are looked up, and none twice, which would be shown twice."""
    if bundle.orders is None:
        return
    for name in ORDER_ARRAYS:
        rows = getattr(bundle.orders, name.removeprefix("orders."))
        if len(rows) and (rows.min() < 0 or rows.max() >= bundle.manifest.n_items):
            raise BundleCorrupt(bundle.path / f"{name}.npy", "names items that the bundle does not have")
        # Of `category_popular` each category is an order of its own.
        if name != "orders.category_popular" and len(rows) and np.bincount(rows).max() > 1:
            raise BundleCorrupt(bundle.path / f"{name}.npy", "names an item twice")


def check_shapes(bundle: Bundle) -> None:
    """That the arrays have the sizes that the manifest and the others ask for."""
    manifest, interactions, catalogue = bundle.manifest, bundle.interactions, bundle.catalogue
    n_users, n_items, n_factors = manifest.n_users, manifest.n_items, manifest.n_factors
    expected = {
        "user_ids.offsets": (len(bundle.users), n_users),
        "item_ids.offsets": (len(bundle.items), n_items),
        "user_factors": (bundle.user_factors.shape, (n_users, n_factors)),
        "item_factors": (bundle.item_factors.shape, (n_items, n_factors)),
        "gram": (bundle.gram.shape, (n_factors,) * (2 if bundle.gram.ndim == 2 else 1)),
        "interactions.indptr": (interactions.indptr.shape, (n_users + 1,)),
        "interactions.items": (len(interactions.items), int(interactions.indptr[-1])),
        "interactions.confidence": (interactions.confidence.shape, interactions.items.shape),
        "popularity": (bundle.popularity.shape, (n_items,)),
        "trending": (bundle.trending.shape, (n_items,)),
        "titles.offsets": (len(catalogue.titles), n_items),
        "creator_of": (catalogue.creator_of.shape, (n_items,)),
        "item_categories.indptr": (catalogue.item_indptr.shape, (n_items + 1,)),
        "item_categories.codes": (len(catalogue.item_categories), int(catalogue.item_indptr[-1])),
        "category_items.indptr": (catalogue.category_indptr.shape, (len(catalogue.categories) + 1,)),
        "category_items.rows": (len(catalogue.category_items), int(catalogue.category_indptr[-1])),
        "published_at": (catalogue.published_at.shape, (n_items,)),
    }
    if bundle.content is not None and manifest.content is not None:
        n_features = manifest.content.features
        expected |= {
            "content_features.offsets": (len(bundle.content.features), n_features),
            "content_weights": (bundle.content.weights.shape, (n_features, n_factors)),
            "content_bias": (bundle.content.bias.shape, (n_factors,)),
        }
    if bundle.neighbours is not None:
        neighbours = bundle.neighbours
        expected |= {
            "neighbours.indptr": (neighbours.indptr.shape, (n_items + 1,)),
            "neighbours.items": (len(neighbours.items), int(neighbours.indptr[-1])),
            "neighbours.weights": (neighbours.weights.shape, neighbours.items.shape),
        }
    if bundle.spectrum is not None:
        vectors = bundle.spectrum.vectors
        width = vectors.shape[1] if vectors.ndim == 2 else 1
        expected |= {
            "spectrum.vectors": (vectors.shape, (n_items, width)),
            "spectrum.scale": (bundle.spectrum.scale.shape, (n_items,)),
        }
    if bundle.orders is not None:
        expected |= {
            "orders.popular": (bundle.orders.popular.shape, (n_items,)),
            "orders.category_popular": (bundle.orders.category_popular.shape, catalogue.category_items.shape),
        }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise BundleCorrupt(bundle.path / f"{name}.npy", f"has shape {found}, the manifest asks for {wanted}")
    if len(bundle.index) != n_items or bundle.index.width != n_factors:
        shape = (len(bundle.index), bundle.index.width)
        raise BundleCorrupt(
            bundle.path / INDEX_NAME, f"holds {shape} vectors, the manifest asks for {n_items, n_factors}"
        )
