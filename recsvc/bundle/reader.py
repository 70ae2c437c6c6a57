"""Opens a bundle: checks it (in full, or against the receipt of a full check) and maps its arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from recsvc.bundle.errors import BundleCorrupt, FormatUnsupported
from recsvc.bundle.files import ARRAYS, CONTENT_ARRAYS, INDEX_NAME, replace_file, seal_of, sha256_of
from recsvc.bundle.manifest import MANIFEST_NAME, READABLE, SEAL_NAME, Manifest
from recsvc.bundle.types import Bundle, Catalogue, ContentMap, IdTable, Int64, Interactions, StringTable

_MATRICES: Final = frozenset({"user_factors", "item_factors", "gram", "content_weights"})


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

    With `full`, or without a valid receipt in `receipts_dir`, every file's SHA-256 is compared with the manifest's
    and a receipt (size, modification time, inode of each file) is left. With a valid receipt opening does not
    read the arrays: O(1) in the size of the model, the index apart. Raises BundleCorrupt naming the first file
    that is wrong, FormatUnsupported for another format version.
    """
    manifest = read_manifest(path)
    _check_names(path, manifest)
    receipt = receipts_dir / f"{manifest.version}.json" if receipts_dir is not None else None
    if full or receipt is None or not _receipt_holds(path, manifest, receipt):
        _verify(path, manifest)
        if receipt is not None:
            receipt.parent.mkdir(parents=True, exist_ok=True)
            replace_file(receipt, json.dumps(_stamps(path, manifest)).encode())
    listed = ARRAYS | (CONTENT_ARRAYS if manifest.content is not None else {})
    arrays = {name: _map(path / f"{name}.npy", dtype) for name, dtype in listed.items()}
    _check_form(path, arrays)
    bundle = _assemble(path, manifest, arrays)
    _check_shapes(bundle)
    _check_content(bundle)
    return bundle


def read_user_ids(path: Path) -> IdTable:
    """The user ids of the bundle in directory `path`, mapped; checked for their form alone. Raises BundleCorrupt."""
    offsets, data = (_map(path / f"{name}.npy", ARRAYS[name]) for name in ("user_ids.offsets", "user_ids.data"))
    _check_form(path, {"user_ids.offsets": offsets, "user_ids.data": data})
    _check_ascending(path, "user_ids.offsets", offsets)
    return IdTable(offsets, data)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as exc:
        raise BundleCorrupt(file, "is missing") from exc
    except OSError as exc:
        raise BundleCorrupt(file, f"cannot be read ({exc.strerror})") from exc


def _check_names(path: Path, manifest: Manifest) -> None:
    needed = ARRAYS | (CONTENT_ARRAYS if manifest.content is not None else {})
    for name in [*(f"{array}.npy" for array in needed), INDEX_NAME]:
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


def _check_form(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
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


def _check_ascending(path: Path, name: str, offsets: Int64) -> None:
    if bool((np.diff(offsets) < 0).any()):
        raise BundleCorrupt(path / f"{name}.npy", "is not ascending")


def _check_content(bundle: Bundle) -> None:
    """The content map is small enough to be looked at whole."""
    if bundle.content is None:
        return
    _check_ascending(bundle.path, "content_features.offsets", bundle.content.features.offsets)
    for name, values in (("content_weights", bundle.content.weights), ("content_bias", bundle.content.bias)):
        if not np.isfinite(values).all():
            raise BundleCorrupt(bundle.path / f"{name}.npy", "holds a value that is not finite")


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
        index=_read_index(path / INDEX_NAME),
        content=ContentMap(ids("content_features"), arrays["content_weights"], arrays["content_bias"])
        if manifest.content is not None
        else None,
    )


def _read_index(file: Path) -> Any:
    try:
        # IFC maps the vectors instead of copying them, so that worker processes share one copy.
        return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as exc:
        raise BundleCorrupt(file, "is not a faiss index") from exc


def _check_shapes(bundle: Bundle) -> None:
    manifest, interactions, catalogue = bundle.manifest, bundle.interactions, bundle.catalogue
    n_users, n_items, n_factors = manifest.n_users, manifest.n_items, manifest.n_factors
    expected = {
        "user_ids.offsets": (len(bundle.users), n_users),
        "item_ids.offsets": (len(bundle.items), n_items),
        "user_factors": (bundle.user_factors.shape, (n_users, n_factors)),
        "item_factors": (bundle.item_factors.shape, (n_items, n_factors)),
        "gram": (bundle.gram.shape, (n_factors, n_factors)),
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
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise BundleCorrupt(bundle.path / f"{name}.npy", f"has shape {found}, the manifest asks for {wanted}")
    if bundle.index.ntotal != n_items or bundle.index.d != n_factors:
        shape = (bundle.index.ntotal, bundle.index.d)
        raise BundleCorrupt(
            bundle.path / INDEX_NAME, f"holds {shape} vectors, the manifest asks for {n_items, n_factors}"
        )
