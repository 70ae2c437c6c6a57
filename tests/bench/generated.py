"""Bundles of any size, of generated factors that have what real ones have: clusters, and lengths as of popularity."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import Catalogue, ContentMap, Float32, IdTable, Interactions, StringTable
from recsvc.bundle.writer import Contents, new_version, write_bundle
from tests.builders import AS_OF, make_manifest
from training.config import IndexConfig, load_config
from training.indexes.choose import choose_index
from training.progress import Progress

CATEGORIES: Final = 50
_CLUSTERS: Final = 2_000
_ROWS: Final = 100_000
"""Made at a time, so that a million of anything needs no second copy."""
_HISTORY: Final = 20
_UNKNOWN_SHARE: Final = 0.02
"""Items that nobody has met: without factors."""


def index_config() -> IndexConfig:
    """The defaults of training."""
    return load_config("generated", None).index


def factors_of(n_users: int, n_items: int, n_factors: int, *, seed: int) -> tuple[Float32, Float32]:
    """User factors float32 (n_users, n_factors) and item factors float32 (n_items, n_factors).

    Items lie around 2,000 centres of very different sizes (Zipf); nine tenths of a centre's length of noise is added,
    and lengths have a Pareto tail, as popularity has. A user is a random mixture of three items' centres, and noise.
    """
    rng = np.random.default_rng(seed)
    spectrum = (np.arange(1, n_factors + 1) ** -0.35).astype(np.float32)
    centres = _unit(rng.standard_normal((_CLUSTERS, n_factors), dtype=np.float32) * spectrum)
    shares = 1.0 / np.arange(1, _CLUSTERS + 1) ** 1.3
    cluster_of = rng.choice(_CLUSTERS, size=n_items, p=shares / shares.sum())
    items = np.empty((n_items, n_factors), dtype=np.float32)
    for start in range(0, n_items, _ROWS):
        own = cluster_of[start : start + _ROWS]
        noise = _unit(rng.standard_normal((len(own), n_factors), dtype=np.float32) * spectrum)
        lengths = (0.3 * rng.pareto(3.0, (len(own), 1)) + 0.2).astype(np.float32)
        items[start : start + _ROWS] = _unit(centres[own] + np.float32(0.9) * noise) * lengths
    users = np.empty((n_users, n_factors), dtype=np.float32)
    for start in range(0, n_users, _ROWS):
        count = min(_ROWS, n_users - start)
        weights = rng.dirichlet([1.0, 1.0, 1.0], count).astype(np.float32)
        liked = centres[cluster_of[rng.integers(0, n_items, (count, 3))]]
        noise = _unit(rng.standard_normal((count, n_factors), dtype=np.float32) * spectrum)
        users[start : start + _ROWS] = _unit(np.einsum("uk,ukd->ud", weights, liked)) + np.float32(0.5) * noise
    return users, items


def publish_generated(
    models_dir: Path, n_users: int, n_items: int, n_factors: int, *, seed: int = 9, config: IndexConfig | None = None
) -> str:
    """Writes a bundle of that size with 20 interactions a user, a catalogue, and the index that training would choose.

    One item in fifty was met by nobody and has no factors; returns the version.
    """
    rng = np.random.default_rng(seed)
    users, items = factors_of(n_users, n_items, n_factors, seed=seed)
    unknown = rng.random(n_items) < _UNKNOWN_SHARE
    items[unknown] = 0.0
    popularity = (rng.pareto(1.2, n_items) * ~unknown).astype(np.float32)
    index, summary = choose_index(items, users, config or index_config(), Progress(quiet=True), seed=seed)
    contents = Contents(
        users=_ids("u", n_users),
        items=_ids("v", n_items),
        user_factors=users,
        item_factors=items,
        gram=_gram(items),
        interactions=_interactions(rng, n_users, n_items),
        popularity=popularity,
        trending=(popularity * (rng.random(n_items) < 0.1)).astype(np.float32),
        catalogue=_catalogue(rng, n_items),
        index=index,
        content=_content(rng, n_factors),
    )
    version = new_version()
    write_bundle(
        models_dir,
        contents,
        lambda files: make_manifest(contents, files, version=version).model_copy(update={"index": summary}),
    )
    return version


def _unit(vectors: Float32) -> Float32:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _gram(items: Float32) -> npt.NDArray[np.float64]:
    blocks = (items[start : start + _ROWS].astype(np.float64) for start in range(0, len(items), _ROWS))
    return np.sum([block.T @ block for block in blocks], axis=0)


def _ids(letter: str, count: int) -> IdTable:
    """`u00000000` and so on: sorted, of one length."""
    table = _strings(letter, count)
    return IdTable(table.offsets, table.data)


def _strings(letter: str, count: int) -> StringTable:
    digits = np.char.zfill(np.arange(count).astype("S8"), 8)
    data = np.char.add(letter.encode(), digits).view(np.uint8)
    return StringTable(np.arange(count + 1, dtype=np.int64) * 9, np.ascontiguousarray(data))


def _interactions(rng: np.random.Generator, n_users: int, n_items: int) -> Interactions:
    """Twenty distinct items a user, the lower rows more often."""
    # Places in twenty equal stretches of the catalogue, so that a user's items are distinct and ascend.
    stretch = n_items // _HISTORY
    items = np.empty((n_users, _HISTORY), dtype=np.int32)
    for place in range(_HISTORY):
        items[:, place] = place * stretch + (stretch * rng.random(n_users, dtype=np.float32) ** 2).astype(np.int32)
    confidence = 1 + 40 * rng.random(n_users * _HISTORY, dtype=np.float32)
    return Interactions(np.arange(n_users + 1, dtype=np.int64) * _HISTORY, items.ravel(), confidence)


def _catalogue(rng: np.random.Generator, n_items: int) -> Catalogue:
    codes = rng.integers(0, CATEGORIES, n_items).astype(np.int32)
    by_category = np.argsort(codes, kind="stable").astype(np.int32)
    creators = IdTable.of(f"c{number:06}" for number in range(max(1, n_items // 100)))
    return Catalogue(
        titles=_strings("t", n_items),
        creators=creators,
        creator_of=rng.integers(0, len(creators), n_items).astype(np.int32),
        categories=IdTable.of(f"category-{number:02}" for number in range(CATEGORIES)),
        item_indptr=np.arange(n_items + 1, dtype=np.int64),
        item_categories=codes,
        category_indptr=np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=CATEGORIES))]).astype(np.int64),
        category_items=by_category,
        published_at=(AS_OF - rng.integers(0, 5_000_000, n_items)).astype(np.int64),
    )


def _content(rng: np.random.Generator, n_factors: int) -> ContentMap:
    features = IdTable.of(f"category:category-{number:02}" for number in range(CATEGORIES))
    weights = 0.1 * rng.standard_normal((len(features), n_factors), dtype=np.float32)
    return ContentMap(features, weights.astype(np.float32), np.zeros(n_factors, dtype=np.float32))
