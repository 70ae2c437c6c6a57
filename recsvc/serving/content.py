"""Vectors, by the bundle's content map, for the items that nobody had met when the model was trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.types import Bundle, ContentMap, Float32, Int32
from recsvc.catalog.live import LiveItem
from recsvc.scoring.content import content_vector, item_features
from recsvc.serving.growing import Growing


@dataclass(frozen=True, slots=True)
class ContentVectors:
    """`rows` int32 (m,), not sorted, and `vectors` float32 (m, n_factors); all zero where an item's vector was lost."""

    rows: Int32
    vectors: Float32


class ContentRows:
    """The rows that have a vector by content instead of factors: one writer, any number of readers of `current`."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._rows = Growing(np.int32)
        self._vectors = Growing(np.float32, bundle.item_factors.shape[1])
        self._places: dict[int, int] = {}
        if bundle.content is not None:
            without = _without_factors(bundle)
            self._rows = Growing.of(without)
            self._vectors = Growing.of(_vectors_of(bundle, bundle.content, without))
            self._places = {row: place for place, row in enumerate(without.tolist())}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def current(self) -> ContentVectors:
        """What there is now."""
        # The rows last: who reads them finds a vector for each.
        vectors = self._vectors.values
        return ContentVectors(self._rows.values[: len(vectors)], vectors)

    def place_of(self, row: int) -> int | None:
        """Where the row's vector is, or None when it has none."""
        return self._places.get(row)

    def take(self, row: int, item: LiveItem) -> None:
        """Gives the row the vector of what is known of the item now; an item with factors keeps them."""
        content, bundle = self._bundle.content, self._bundle
        if content is None or (row < len(bundle.items) and bundle.item_factors[row].any()):
            return
        vector = content_vector(content, item_features(item.categories, item.creator, item.attributes))
        place = self._places.get(row)
        if place is not None:
            self._vectors.put(place, np.zeros(self._bundle.item_factors.shape[1]) if vector is None else vector)
        elif vector is not None:
            self._append(row, vector)

    def _append(self, row: int, vector: Float32) -> None:
        self._places[row] = self._rows.append(row)
        self._vectors.append(vector)


def _without_factors(bundle: Bundle) -> Int32:
    """The rows whose factors are all zero: who never was liked, so only those are looked at."""
    unliked = np.flatnonzero(bundle.popularity == 0)
    return np.asarray(unliked[~bundle.item_factors[unliked].any(axis=1)], dtype=np.int32)


def _vectors_of(bundle: Bundle, content: ContentMap, rows: Int32) -> Float32:
    """`content_vector` of the bundle's own items, all at once; float32 (len(rows), n_factors), 0 where it is None."""
    catalogue = bundle.catalogue
    by_category = _feature_rows(content, [f"category:{name}" for name in catalogue.categories])
    by_creator = _feature_rows(content, [f"creator:{name}" for name in catalogue.creators])
    starts = np.asarray(catalogue.item_indptr[rows])
    lengths = np.asarray(catalogue.item_indptr[rows + 1]) - starts
    entries = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(int(lengths.sum()))
    created = np.flatnonzero(catalogue.creator_of[rows] >= 0)
    places = np.concatenate([np.repeat(np.arange(len(rows)), lengths), created])
    features = np.concatenate(
        [by_category[catalogue.item_categories[entries]], by_creator[catalogue.creator_of[rows[created]]]]
    )
    known = features >= 0
    places, features = places[known], features[known]
    shape = (len(rows), len(content.features))
    counts = csr_matrix((np.ones(len(places), dtype=np.float32), (places, features)), shape=shape)
    vectors = np.asarray(counts @ np.asarray(content.weights) + content.bias, dtype=np.float32)
    vectors[np.bincount(places, minlength=len(rows)) == 0] = 0.0
    return vectors


def _feature_rows(content: ContentMap, names: list[str]) -> Int32:
    """The feature of each name, -1 where the map does not know it."""
    found = (content.features.row_of(name) for name in names)
    return np.fromiter((-1 if row is None else row for row in found), dtype=np.int32, count=len(names))
