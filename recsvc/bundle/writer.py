"""Writes a bundle aside, flushes it, and renames it into place: a reader never meets half of one."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from recsvc.bundle.files import ALL_ARRAYS, INDEX_NAME, ORDER_ARRAYS, REPORT_NAME, flush_directory, seal_of, sha256_of
from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import MANIFEST_NAME, SEAL_NAME, FileEntry, Manifest
from recsvc.bundle.orderings import orders_of
from recsvc.bundle.types import Catalogue, ContentMap, Float32, Float64, IdTable, Interactions, Neighbours, Spectrum


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a bundle; shapes and dtypes as in `recsvc.bundle.types.Bundle`."""

    users: IdTable
    items: IdTable
    user_factors: Float32
    item_factors: Float32
    gram: Float64
    interactions: Interactions
    popularity: Float32
    trending: Float32
    catalogue: Catalogue
    index: ItemIndex
    report: str | None = None
    content: ContentMap | None = None
    neighbours: Neighbours | None = None
    spectrum: Spectrum | None = None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Every array by its name in `ALL_ARRAYS`."""
        orders = orders_of(self.popularity, self.trending, self.catalogue)
        return {
            **self._model_arrays(),
            **self._content_arrays(),
            **self._neighbour_arrays(),
            **self._spectrum_arrays(),
            **{name: getattr(orders, name.removeprefix("orders.")) for name in ORDER_ARRAYS},
        }

    def _neighbour_arrays(self) -> dict[str, npt.NDArray[Any]]:
        if self.neighbours is None:
            return {}
        return {
            "neighbours.indptr": self.neighbours.indptr,
            "neighbours.items": self.neighbours.items,
            "neighbours.weights": self.neighbours.weights,
        }

    def _spectrum_arrays(self) -> dict[str, npt.NDArray[Any]]:
        if self.spectrum is None:
            return {}
        return {"spectrum.vectors": self.spectrum.vectors, "spectrum.scale": self.spectrum.scale}

    def _content_arrays(self) -> dict[str, npt.NDArray[Any]]:
        if self.content is None:
            return {}
        return {
            "content_features.offsets": self.content.features.offsets,
            "content_features.data": self.content.features.data,
            "content_weights": self.content.weights,
            "content_bias": self.content.bias,
        }

    def _model_arrays(self) -> dict[str, npt.NDArray[Any]]:
        catalogue = self.catalogue
        return {
            "user_ids.offsets": self.users.offsets,
            "user_ids.data": self.users.data,
            "item_ids.offsets": self.items.offsets,
            "item_ids.data": self.items.data,
            "user_factors": self.user_factors,
            "item_factors": self.item_factors,
            "gram": self.gram,
            "interactions.indptr": self.interactions.indptr,
            "interactions.items": self.interactions.items,
            "interactions.confidence": self.interactions.confidence,
            "popularity": self.popularity,
            "trending": self.trending,
            "titles.offsets": catalogue.titles.offsets,
            "titles.data": catalogue.titles.data,
            "creators.offsets": catalogue.creators.offsets,
            "creators.data": catalogue.creators.data,
            "creator_of": catalogue.creator_of,
            "categories.offsets": catalogue.categories.offsets,
            "categories.data": catalogue.categories.data,
            "item_categories.indptr": catalogue.item_indptr,
            "item_categories.codes": catalogue.item_categories,
            "category_items.indptr": catalogue.category_indptr,
            "category_items.rows": catalogue.category_items,
            "published_at": catalogue.published_at,
        }


def new_version(now: datetime | None = None) -> str:
    """A fresh version: UTC time to the second and six random hexadecimal digits."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def write_bundle(models_dir: Path, contents: Contents, describe: Callable[[dict[str, FileEntry]], Manifest]) -> Path:
    """Writes and publishes a bundle; returns its directory `models_dir/<version>`.

    `describe` is given the entry (checksum, size) of each file written and returns the manifest. On any failure
    nothing is left in `models_dir`. Raises ValueError for a non-finite factor or a wrong dtype, OSError when
    the disk refuses or the version is already there.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    aside = models_dir / f".{new_version()}.writing"
    aside.mkdir()
    try:
        files = _write_files(aside, contents)
        manifest = describe(files)
        document = (manifest.model_dump_json(indent=2) + "\n").encode()
        _write_flushed(aside / MANIFEST_NAME, document)
        _write_flushed(aside / SEAL_NAME, seal_of(document))
        flush_directory(aside)
        final = models_dir / manifest.version
        aside.rename(final)  # fails on a version that is already there: its directory is not empty
        flush_directory(models_dir)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return final


def _write_files(folder: Path, contents: Contents) -> dict[str, FileEntry]:
    for name, array in contents.arrays().items():
        _check(name, array)
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    faiss.write_index(contents.index.searcher, str(folder / INDEX_NAME))
    with (folder / INDEX_NAME).open("rb") as file:
        os.fsync(file.fileno())
    if contents.report is not None:
        _write_flushed(folder / REPORT_NAME, contents.report.encode())
    return {
        path.name: FileEntry(sha256=sha256_of(path), bytes=path.stat().st_size) for path in sorted(folder.iterdir())
    }


def _check(name: str, array: npt.NDArray[Any]) -> None:
    dtype = ALL_ARRAYS[name]
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"{name} is {array.dtype}, the format says {dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not finite; the fit diverged: raise the regularisation")


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


if sys.byteorder != "little":  # the arrays are written as they lie in memory
    raise ImportError("bundles are little-endian; this machine is not")
