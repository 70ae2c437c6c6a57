"""File names of a bundle, and the checksum, flush and rename that make it safe to read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

INDEX_NAME: Final = "index.faiss"
REPORT_NAME: Final = "report.html"

ARRAYS: Final[dict[str, str]] = {
    "user_ids.offsets": "int64",
    "user_ids.data": "uint8",
    "item_ids.offsets": "int64",
    "item_ids.data": "uint8",
    "user_factors": "float32",
    "item_factors": "float32",
    "gram": "float64",
    "interactions.indptr": "int64",
    "interactions.items": "int32",
    "interactions.confidence": "float32",
    "popularity": "float32",
    "trending": "float32",
    "titles.offsets": "int64",
    "titles.data": "uint8",
    "creators.offsets": "int64",
    "creators.data": "uint8",
    "creator_of": "int32",
    "categories.offsets": "int64",
    "categories.data": "uint8",
    "item_categories.indptr": "int64",
    "item_categories.codes": "int32",
    "category_items.indptr": "int64",
    "category_items.rows": "int32",
    "published_at": "int64",
}
"""Each array of every bundle and its dtype, little-endian; the file is `<name>.npy`."""

CONTENT_ARRAYS: Final[dict[str, str]] = {
    "content_features.offsets": "int64",
    "content_features.data": "uint8",
    "content_weights": "float32",
    "content_bias": "float32",
}
"""From format version 2 on, all four or none: the map from metadata to item factors."""

NEIGHBOUR_ARRAYS: Final[dict[str, str]] = {
    "neighbours.indptr": "int64",
    "neighbours.items": "int32",
    "neighbours.weights": "float32",
}
"""From format version 3 on, all three or none: how much each item speaks for others."""

SPECTRUM_ARRAYS: Final[dict[str, str]] = {
    "spectrum.vectors": "float32",
    "spectrum.scale": "float32",
}
"""From format version 4 on, both or none: the smooth part of what users have in common, item by item."""

ORDER_ARRAYS: Final[dict[str, str]] = {
    "orders.popular": "int32",
    "orders.trending": "int32",
    "orders.latest": "int32",
    "orders.category_popular": "int32",
}
"""All four or none: what could be sorted out of the others, which takes long where there are many items."""

ALL_ARRAYS: Final[dict[str, str]] = ARRAYS | CONTENT_ARRAYS | NEIGHBOUR_ARRAYS | SPECTRUM_ARRAYS | ORDER_ARRAYS


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal_of(document: bytes) -> bytes:
    """What `manifest.sha256` holds for the bytes of a manifest."""
    return hashlib.sha256(document).hexdigest().encode("ascii") + b"\n"


def flush_directory(path: Path) -> None:
    """Makes the names in a directory durable (POSIX: fsync of the directory itself)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Replaces a file's content so that a reader, or a crash, sees the old or the new one, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    flush_directory(path.parent)
