"""Small real bundles for tests: written by the project's own writer, seeded, with a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import (
    FORMAT_VERSION,
    BlendSpec,
    ConfidenceRecipe,
    ContentSummary,
    DataSummary,
    FileEntry,
    GateResult,
    IndexSummary,
    Kind,
    Manifest,
    Objective,
)
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import NO_TIME, Bundle, ContentMap, IdTable, Interactions, Neighbours
from recsvc.bundle.writer import Contents, new_version, write_bundle
from training.als import exact_users, turned
from training.catalogue import build_catalogue
from training.config import SpectrumConfig
from training.index import build_index
from training.sources.dataset import ItemColumns
from training.spectrum import fit_spectrum

CATEGORIES = ("cooking", "music", "sport", "travel")
RECIPE = ConfidenceRecipe(
    event_weights={"view": 1.0, "like": 2.0, "finish": 1.0, "skip": -0.5, "not_interested": -4.0},
    half_life_days=30.0,
    weight_cap=10.0,
    minimum_weight=0.02,
    unobserved_weight=0.1,
)
BLEND = BlendSpec(
    bounds=[4, 8],
    weights={"factors": [0.5, 1.0, 1.0], "neighbours": [0.5, 0.5, 1.0], "popularity": [0.05, 0.25, 0.0]},
)
SMOOTH_BLEND = BlendSpec(bounds=[4, 8], weights={**BLEND.weights, "spectrum": [0.0, 0.5, 2.0]})
SPECTRUM = SpectrumConfig(dimensions=5, user_exponent=0.5, item_exponent=0.5)
AS_OF = 1_790_000_000.0


def make_contents(
    n_users: int = 40,
    n_items: int = 300,
    n_factors: int = 8,
    *,
    seed: int = 0,
    has_time: bool = True,
    has_content: bool = True,
    has_neighbours: bool = False,
    has_spectrum: bool = False,
) -> Contents:
    """Users u000…, items v000… with 5-20 interactions a user; the user rows solve the objective exactly.

    Neighbours are the cosines of the items' columns, signed as the confidence is.

    The content map knows the categories, the creators creator-0…6 and the attribute language=pt.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 21, n_users)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.concatenate([np.sort(rng.choice(n_items, size=n, replace=False)) for n in lengths]).astype(np.int32)
    sign = rng.choice([1.0, 1.0, 1.0, -1.0], size=len(items))
    confidence = (sign * (1 + 10 * rng.random(len(items)))).astype(np.float32)
    matrix = csr_matrix((confidence, items, indptr), shape=(n_users, n_items))
    factors = exact_users(matrix, turned(rng.standard_normal((n_items, n_factors)).astype(np.float32)), 1.0)
    columns = ItemColumns(
        titles=[f"Title of item {i}" for i in range(n_items)],
        creators=[f"creator-{i % 7}" for i in range(n_items)],
        categories=[[CATEGORIES[i % len(CATEGORIES)]] for i in range(n_items)],
        published_at=(AS_OF - rng.integers(0, 5_000_000, n_items)).astype(np.int64)
        if has_time
        else np.full(n_items, NO_TIME),
        attributes=[{"language": "pt"} for _ in range(n_items)],
    )
    popularity = np.bincount(items, weights=np.maximum(confidence, 0), minlength=n_items).astype(np.float32)
    trending = popularity * rng.random(n_items) if has_time else np.zeros(n_items)
    return Contents(
        users=IdTable.of(f"u{i:03}" for i in range(n_users)),
        items=IdTable.of(f"v{i:03}" for i in range(n_items)),
        user_factors=factors.users,
        item_factors=factors.items,
        gram=factors.gram,
        interactions=Interactions(indptr, items, confidence),
        popularity=popularity,
        trending=trending.astype(np.float32),
        catalogue=build_catalogue(columns),
        index=build_index(factors.items),
        report="<!doctype html><title>report</title>",
        content=_content(rng, n_factors) if has_content else None,
        neighbours=_neighbours(matrix) if has_neighbours else None,
        spectrum=fit_spectrum(matrix, SPECTRUM) if has_spectrum else None,
    )


def _neighbours(matrix: csr_matrix) -> Neighbours:
    """The cosine of each pair of items over the users, signed as the confidence is, without an item's own."""
    signs = matrix.copy()
    signs.data = np.sign(signs.data)
    lengths = np.sqrt(np.maximum(np.bincount(signs.indices, minlength=signs.shape[1]), 1))
    unit = csr_matrix(signs.multiply(1 / lengths))
    cosine = csr_matrix(unit.T @ unit)
    cosine.setdiag(0)
    cosine.eliminate_zeros()
    cosine.sort_indices()
    return Neighbours(cosine.indptr.astype(np.int64), cosine.indices.astype(np.int32), cosine.data.astype(np.float32))


def _content(rng: np.random.Generator, n_factors: int) -> ContentMap:
    features = IdTable.of(
        [
            *(f"category:{name}" for name in CATEGORIES),
            *(f"creator:creator-{i}" for i in range(7)),
            "attribute:language=pt",
        ]
    )
    return ContentMap(
        features=features,
        weights=rng.standard_normal((len(features), n_factors)).astype(np.float32),
        bias=rng.standard_normal(n_factors).astype(np.float32),
    )


def make_manifest(
    contents: Contents,
    files: dict[str, FileEntry],
    *,
    version: str,
    has_time: bool = True,
    passed: bool = True,
    log_ends: dict[str, str] | None = None,
    erasures_applied_at: float | None = None,
    kind: Kind = "als",
    blend: BlendSpec | None = None,
) -> Manifest:
    """The manifest of `contents`."""
    n_users, n_factors = contents.user_factors.shape
    return Manifest(
        format_version=FORMAT_VERSION,
        kind=kind,
        blend=blend,
        version=version,
        created_at="2026-11-01T00:00:00+00:00",
        as_of=AS_OF if has_time else None,
        n_users=n_users,
        n_items=len(contents.item_factors),
        n_factors=n_factors,
        objective=Objective(regularization=1.0, confidence=RECIPE),
        recipe={},
        data=DataSummary(
            name="built",
            fingerprint="0" * 64,
            events=len(contents.interactions.items),
            rejected=0,
            interactions=len(contents.interactions.items),
            first_event=None,
            last_event=None,
        ),
        metrics={"als": {"recall@20": 0.1, "ndcg@10": 0.1}},
        gate=GateResult(
            champion=None,
            metric="ndcg@10",
            candidate_value=0.1,
            champion_value=None,
            tolerance=0.02,
            passed=passed,
            message="built for a test",
        ),
        index=IndexSummary(kind="IndexFlatIP", exact=True, recall_at_100=1.0, queries=1, search_ms_median=0.1),
        libraries={},
        files=files,
        log_ends=log_ends,
        erasures_applied_at=erasures_applied_at,
        content=None
        if contents.content is None
        else ContentSummary(
            features=len(contents.content.features),
            items=len(contents.item_factors),
            regularization=1.0,
            minimum_items=1,
            held_out={},
        ),
    )


def publish_bundle(
    models_dir: Path,
    *,
    seed: int = 0,
    version: str | None = None,
    passed: bool = True,
    has_time: bool = True,
    has_content: bool = True,
    log_ends: dict[str, str] | None = None,
    erasures_applied_at: float | None = None,
    kind: Kind = "als",
    blend: BlendSpec | None = None,
    **sizes: int,
) -> str:
    """Writes a bundle into `models_dir` and returns its version. It has what the blend asks for."""
    asked = () if blend is None else blend.components
    contents = make_contents(
        seed=seed,
        has_time=has_time,
        has_content=has_content,
        has_neighbours="neighbours" in asked,
        has_spectrum="spectrum" in asked,
        **sizes,
    )
    chosen = version or new_version()
    write_bundle(
        models_dir,
        contents,
        lambda files: make_manifest(
            contents,
            files,
            version=chosen,
            has_time=has_time,
            passed=passed,
            log_ends=log_ends,
            erasures_applied_at=erasures_applied_at,
            kind=kind,
            blend=blend,
        ),
    )
    return chosen


def make_bundle(models_dir: Path, **built: Any) -> Bundle:
    """Writes a bundle and opens it; `built` as `publish_bundle` takes it."""
    return open_bundle(models_dir / publish_bundle(models_dir, **built), None)
