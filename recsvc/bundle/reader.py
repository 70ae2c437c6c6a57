"""Opens a bundle: checks it (in full, or against the receipt of a full check) and maps its arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from recsvc.bundle.checks import (
    check_ascending,
    check_content,
    check_form,
    check_gram,
    check_neighbours,
    check_orders,
    check_popularity,
    check_shapes,
    check_spectrum,
)
from recsvc.bundle.errors import BundleCorrupt, FormatUnsupported
from recsvc.bundle.files import (
    ARRAYS,
    CONTENT_ARRAYS,
    INDEX_NAME,
    NEIGHBOUR_ARRAYS,
    ORDER_ARRAYS,
    SPECTRUM_ARRAYS,
    replace_file,
    seal_of,
    sha256_of,
)
from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import MANIFEST_NAME, READABLE, SEAL_NAME, Manifest
from recsvc.bundle.types import (
    Bundle,
    Catalogue,
    ContentMap,
    IdTable,
    Interactions,
    Neighbours,
    Orders,
    Spectrum,
    StringTable,
)


def read_manifest(path: Path) -> Manifest:
    """Reads and validates `path/manifest.json`.

    Raises BundleCorrupt when it is missing or wrong, FormatUnsupported when the format version is another one.
    """
    file = path / MANIFEST_NAME
    document = _bytes_of(file)
    try:
        raw = json.loads(document)
    except ValueError as exc:
        raise BundleCorrupt(file, f"cannot be read as JSON ({exc})") from exc
    found = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(found, int) and found not in READABLE:
        readable = f"{', '.join(map(str, READABLE[:-1]))} and {READABLE[-1]}"
        raise FormatUnsupported(
            f"{path.name} has bundle format {found}; this release reads {readable}: "
            "train again, or serve it with the release that wrote it"
        )
    seal = path / SEAL_NAME
    if _bytes_of(seal) != seal_of(document):
        raise BundleCorrupt(file, f"its SHA-256 is not the one in {SEAL_NAME}")
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise BundleCorrupt(file, f"{where}: {first['msg']}") from exc
    if manifest.version != path.name:
        raise BundleCorrupt(file, f"says version {manifest.version}, but its directory is {path.name}")
    return manifest


def open_bundle(path: Path, receipts_dir: Path | None, *, full: bool = False) -> Bundle:
    """Opens the bundle in directory `path`.

    With `full`, or without a valid receipt in `receipts_dir`, every file's SHA-256 is compared with the manifest's,
    neighbours, spectrum and Gram matrix are looked at whole, and a receipt (size, modification time, inode of each
    file) is left.
    With a valid receipt opening does not read the arrays, the places where rows and names begin apart: next to nothing
    of the model's size, but for the index. Raises BundleCorrupt naming the first file that is wrong, FormatUnsupported
    for another format version.
    """
    manifest = read_manifest(path)
    _check_names(path, manifest)
    receipt = receipts_dir / f"{manifest.version}.json" if receipts_dir is not None else None
    is_new = full or receipt is None or not _receipt_holds(path, manifest, receipt)
    if is_new:
        _verify(path, manifest)
    arrays = {name: _map(path / f"{name}.npy", dtype) for name, dtype in _needed(manifest).items()}
    check_form(path, arrays)
    bundle = _assemble(path, manifest, arrays)
    check_shapes(bundle)
    check_content(bundle)
    check_neighbours(bundle, values=is_new)
    if is_new:
        check_gram(bundle)
        check_popularity(bundle)
        check_spectrum(bundle)
        check_orders(bundle)
    if is_new and receipt is not None:
        receipt.parent.mkdir(parents=True, exist_ok=True)
        replace_file(receipt, json.dumps(_stamps(path, manifest)).encode())
    return bundle


def read_user_ids(path: Path) -> IdTable:
    """The user ids of the bundle in directory `path`, mapped; checked for their form alone. Raises BundleCorrupt."""
    offsets, data = (_map(path / f"{name}.npy", ARRAYS[name]) for name in ("user_ids.offsets", "user_ids.data"))
    check_form(path, {"user_ids.offsets": offsets, "user_ids.data": data})
    check_ascending(path, "user_ids.offsets", offsets)
    return IdTable(offsets, data)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as exc:
        raise BundleCorrupt(file, "is missing") from exc
    except OSError as exc:
        raise BundleCorrupt(file, f"cannot be read ({exc.strerror})") from exc


def _needed(manifest: Manifest) -> dict[str, str]:
    """The arrays of the bundle, and their dtypes."""
    content = CONTENT_ARRAYS if manifest.content is not None else {}
    neighbours = NEIGHBOUR_ARRAYS if manifest.has_neighbours else {}
    spectrum = SPECTRUM_ARRAYS if manifest.has_spectrum else {}
    return ARRAYS | content | neighbours | spectrum | (ORDER_ARRAYS if manifest.has_orders else {})


def _check_names(path: Path, manifest: Manifest) -> None:
    for name in [*(f"{array}.npy" for array in _needed(manifest)), INDEX_NAME]:
        if name not in manifest.files:
            raise BundleCorrupt(path / MANIFEST_NAME, f"does not list {name}")
    for name in manifest.files:
        if Path(name).name != name:
            raise BundleCorrupt(path / MANIFEST_NAME, f"lists {name!r}, which is not a plain file name")


def _verify(path: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        file = path / name
        try:
            size = file.stat().st_size
            if size != entry.bytes:
                raise BundleCorrupt(file, f"has {size} bytes, the manifest says {entry.bytes}")
            if sha256_of(file) != entry.sha256:
                raise BundleCorrupt(file, "its SHA-256 is not the manifest's")
        except OSError as exc:
            raise BundleCorrupt(file, f"cannot be read ({exc.strerror})") from exc


def _stamps(path: Path, manifest: Manifest) -> dict[str, list[int]]:
    stats = {name: (path / name).stat() for name in [MANIFEST_NAME, *manifest.files]}
    return {name: [stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in stats.items()}


def _receipt_holds(path: Path, manifest: Manifest, receipt: Path) -> bool:
    try:
        return bool(json.loads(receipt.read_bytes()) == _stamps(path, manifest))
    except (OSError, ValueError):
        return False  # no receipt, or not one we can read: verify in full


def _map(file: Path, dtype: str) -> npt.NDArray[Any]:
    try:
        # An empty file cannot be mapped, so np.load is asked for a map only where there is data.
        array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        try:
            array = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as exc:
            raise BundleCorrupt(file, f"is not a NumPy array ({exc})") from exc
    except OSError as exc:
        raise BundleCorrupt(file, f"cannot be read ({exc.strerror})") from exc
    if array.dtype != np.dtype(dtype):
        raise BundleCorrupt(file, f"holds {array.dtype}, the format says {dtype}")
    return array.view(np.ndarray)


def _assemble(path: Path, manifest: Manifest, arrays: Mapping[str, npt.NDArray[Any]]) -> Bundle:
    def strings(name: str) -> StringTable:
        return StringTable(arrays[f"{name}.offsets"], arrays[f"{name}.data"])

    def ids(name: str) -> IdTable:
        return IdTable(arrays[f"{name}.offsets"], arrays[f"{name}.data"])

    return Bundle(
        path=path,
        manifest=manifest,
        users=ids("user_ids"),
        items=ids("item_ids"),
        user_factors=arrays["user_factors"],
        item_factors=arrays["item_factors"],
        gram=arrays["gram"],
        interactions=Interactions(
            arrays["interactions.indptr"], arrays["interactions.items"], arrays["interactions.confidence"]
        ),
        popularity=arrays["popularity"],
        trending=arrays["trending"],
        catalogue=Catalogue(
            titles=strings("titles"),
            creators=ids("creators"),
            creator_of=arrays["creator_of"],
            categories=ids("categories"),
            item_indptr=arrays["item_categories.indptr"],
            item_categories=arrays["item_categories.codes"],
            category_indptr=arrays["category_items.indptr"],
            category_items=arrays["category_items.rows"],
            published_at=arrays["published_at"],
        ),
        index=ItemIndex(_read_index(path / INDEX_NAME), arrays["item_factors"], manifest.index.pool),
        content=ContentMap(ids("content_features"), arrays["content_weights"], arrays["content_bias"])
        if manifest.content is not None
        else None,
        neighbours=Neighbours(*(arrays[name] for name in NEIGHBOUR_ARRAYS)) if manifest.has_neighbours else None,
        spectrum=Spectrum(*(arrays[name] for name in SPECTRUM_ARRAYS)) if manifest.has_spectrum else None,
        orders=Orders(*(arrays[name] for name in ORDER_ARRAYS)) if manifest.has_orders else None,
    )


def _read_index(file: Path) -> Any:
    try:
        # IFC maps the vectors instead of copying them, so that worker processes share one copy.
        return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as exc:
        raise BundleCorrupt(file, "is not a faiss index") from exc
