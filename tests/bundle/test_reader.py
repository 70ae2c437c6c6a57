"""A bundle is opened whole and right, or refused by name."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.errors import BundleCorrupt, FormatUnsupported
from recsvc.bundle.files import ALL_ARRAYS, INDEX_NAME, NEIGHBOUR_ARRAYS, ORDER_ARRAYS, seal_of, sha256_of
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import ItemRow
from tests.builders import SMOOTH_BLEND, make_bundle, make_contents, publish_bundle


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    return models / publish_bundle(models, seed=1, kind="blend", blend=SMOOTH_BLEND)


@pytest.fixture
def bundle_path(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / published.name))


FILES = [*(f"{name}.npy" for name in ALL_ARRAYS), INDEX_NAME]
ALL_FILES = [*FILES, "report.html", "manifest.json", "manifest.sha256"]


def _write_manifest(path: Path, manifest: dict[str, object]) -> None:
    """Writes a manifest with the seal that belongs to it, as somebody who makes bundles by hand would."""
    document = json.dumps(manifest).encode()
    (path / "manifest.json").write_bytes(document)
    (path / "manifest.sha256").write_bytes(seal_of(document))


def test_what_is_read_is_what_was_written(published: Path) -> None:
    contents = make_contents(seed=1, has_neighbours=True, has_spectrum=True)
    bundle = open_bundle(published, None)
    np.testing.assert_array_equal(bundle.user_factors, contents.user_factors)
    np.testing.assert_array_equal(bundle.item_factors, contents.item_factors)
    np.testing.assert_array_equal(bundle.gram, contents.gram)
    np.testing.assert_array_equal(bundle.interactions.confidence, contents.interactions.confidence)
    assert list(bundle.users) == list(contents.users)
    assert bundle.catalogue.categories_of(5) == contents.catalogue.categories_of(5)
    assert bundle.catalogue.title(7) == "Title of item 7"
    assert bundle.catalogue.creator(8) == "creator-1"
    assert set(bundle.catalogue.items_in("music").tolist()) == set(range(1, 300, 4))
    assert bundle.content is not None
    assert contents.content is not None
    assert list(bundle.content.features) == list(contents.content.features)
    np.testing.assert_array_equal(bundle.content.weights, contents.content.weights)
    np.testing.assert_array_equal(bundle.content.bias, contents.content.bias)
    assert bundle.manifest.blend == SMOOTH_BLEND
    assert bundle.spectrum is not None
    assert contents.spectrum is not None
    np.testing.assert_array_equal(bundle.spectrum.vectors, contents.spectrum.vectors)
    np.testing.assert_array_equal(bundle.spectrum.scale, contents.spectrum.scale)
    assert bundle.neighbours is not None
    assert contents.neighbours is not None
    for name in ("indptr", "items", "weights"):
        np.testing.assert_array_equal(getattr(bundle.neighbours, name), getattr(contents.neighbours, name))
    items, weights = bundle.neighbours.of(ItemRow(3))
    assert len(items) == len(weights) == np.diff(contents.neighbours.indptr)[3] > 0


def test_a_bundle_without_neighbours_has_none_of_their_files(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    assert bundle.neighbours is None
    assert not [name for name in bundle.manifest.files if name.startswith("neighbours")]


def test_a_bundle_of_items_nothing_is_known_of_has_no_content_map(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, has_content=False)
    assert bundle.content is None
    assert not [name for name in bundle.manifest.files if name.startswith("content")]


def test_where_the_log_and_the_erasures_stood_is_read_back(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path, log_ends={"042": "1763856000000-3"}, erasures_applied_at=7.5).manifest
    assert manifest.log_ends == {"042": "1763856000000-3"}
    assert manifest.erasures_applied_at == 7.5


def _replace(bundle_path: Path, name: str, array: np.ndarray) -> None:
    """Replaces an array, with the checksum that belongs to it."""
    file = bundle_path / f"{name}.npy"
    np.save(file, array)
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    manifest["files"][file.name] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    _write_manifest(bundle_path, manifest)


@pytest.mark.parametrize(
    ("key", "position"), [("zz", "1-1"), ("256", "1-1"), ("42", "1-1"), ("0042", "1-1"), ("042", "1"), ("042", "a-1")]
)
def test_where_the_log_stood_is_a_partition_and_a_stream_id(bundle_path: Path, key: str, position: str) -> None:
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    _write_manifest(bundle_path, manifest | {"log_ends": {key: position}})
    with pytest.raises(BundleCorrupt, match=r"manifest\.json: log_ends"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["content_weights", "content_bias"])
def test_a_content_map_that_is_not_finite_is_refused(bundle_path: Path, name: str, value: float) -> None:
    array = np.load(bundle_path / f"{name}.npy")
    array.flat[-1] = value
    _replace(bundle_path, name, array)
    with pytest.raises(BundleCorrupt, match=rf"{name}\.npy: holds a value that is not finite"):
        open_bundle(bundle_path, None)


def _with(array: np.ndarray, place: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("items", -1, 300, "names items that the bundle does not have"),
        ("items", 0, -1, "names items that the bundle does not have"),
        ("items", 1, 0, "is not ascending within a row"),
        ("indptr", 0, 1, "does not begin with 0"),
        ("indptr", 2, 10**6, "is not ascending"),
        ("indptr", -1, 10**6, "neighbours.items"),
        ("weights", 5, np.nan, "holds a value that is not finite"),
        ("weights", -1, np.inf, "holds a value that is not finite"),
    ],
)
def test_neighbours_that_cannot_be_summed_are_refused(
    bundle_path: Path, name: str, place: int, value: float, said: str
) -> None:
    file = f"neighbours.{name}"
    _replace(bundle_path, file, _with(np.load(bundle_path / f"{file}.npy"), place, value))
    with pytest.raises(BundleCorrupt, match=rf"neighbours\.\w+\.npy: {said}|{said}\.npy: has shape"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_popularity_that_cannot_be_ranked_by_is_refused(bundle_path: Path, value: float) -> None:
    _replace(bundle_path, "popularity", _with(np.load(bundle_path / "popularity.npy"), 3, value))
    with pytest.raises(BundleCorrupt, match=r"popularity\.npy: holds a value that is negative or not finite"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", NEIGHBOUR_ARRAYS)
def test_neighbours_of_which_a_part_is_not_listed_are_refused(bundle_path: Path, name: str) -> None:
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    del manifest["files"][f"{name}.npy"]
    _write_manifest(bundle_path, manifest)
    with pytest.raises(BundleCorrupt, match=rf"manifest\.json: does not list {name}\.npy"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ["items", "weights"])
def test_neighbours_of_another_size_than_their_places_are_refused(bundle_path: Path, name: str) -> None:
    array = np.load(bundle_path / f"neighbours.{name}.npy")
    _replace(bundle_path, f"neighbours.{name}", array[:-1])
    with pytest.raises(BundleCorrupt, match=rf"neighbours\.{name}\.npy: has shape"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize(("name", "value"), [("vectors", np.nan), ("scale", 0.0), ("scale", np.inf), ("scale", -1.0)])
def test_a_spectrum_that_cannot_be_computed_with_is_refused_before_a_receipt_is_left(
    bundle_path: Path, tmp_path: Path, name: str, value: float
) -> None:
    array = np.load(bundle_path / f"spectrum.{name}.npy")
    array[3] = value
    _replace(bundle_path, f"spectrum.{name}", array)
    for _ in range(2):
        with pytest.raises(BundleCorrupt, match=rf"spectrum\.{name}\.npy: holds a value that is not"):
            open_bundle(bundle_path, tmp_path / "receipts")


@pytest.mark.parametrize(("name", "shape"), [("vectors", (300,)), ("vectors", (299, 5)), ("scale", (299,))])
def test_a_spectrum_of_another_size_is_refused(bundle_path: Path, name: str, shape: tuple[int, ...]) -> None:
    _replace(bundle_path, f"spectrum.{name}", np.ones(shape, dtype=np.float32))
    with pytest.raises(BundleCorrupt, match=rf"spectrum\.{name}\.npy: has shape"):
        open_bundle(bundle_path, None)


def test_neighbours_are_looked_at_before_a_receipt_is_left(bundle_path: Path, tmp_path: Path) -> None:
    _replace(bundle_path, "neighbours.weights", _with(np.load(bundle_path / "neighbours.weights.npy"), 0, np.nan))
    for _ in range(2):
        with pytest.raises(BundleCorrupt, match=r"neighbours\.weights\.npy"):
            open_bundle(bundle_path, tmp_path / "receipts")


def test_names_of_features_that_overlap_or_reach_too_far_are_refused(bundle_path: Path) -> None:
    offsets = np.load(bundle_path / "content_features.offsets.npy")
    for wrong, said in (
        (np.concatenate([offsets[:1], offsets[1:-1][::-1], offsets[-1:]]), "is not ascending"),
        (offsets[::-1].copy(), "does not begin with 0"),
        (np.concatenate([offsets[:-1], offsets[-1:] + 10**6]), r"does not fit content_features\.data\.npy"),
    ):
        _replace(bundle_path, "content_features.offsets", wrong)
        with pytest.raises(BundleCorrupt, match=rf"content_features\.offsets\.npy: {said}"):
            open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", [name for name in ALL_ARRAYS if name.endswith((".offsets", ".indptr"))])
@pytest.mark.parametrize("shape", [(), (0,), (2, 2)])
def test_places_that_are_no_list_are_refused_by_the_files_name(
    bundle_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    _replace(bundle_path, name, np.zeros(shape, dtype=np.int64))
    with pytest.raises(BundleCorrupt, match=rf"{name}\.npy"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("shape", [(3, 8), (12, 5), (12,)])
def test_a_content_map_of_another_shape_than_the_factors_is_refused(bundle_path: Path, shape: tuple[int, ...]) -> None:
    _replace(bundle_path, "content_weights", np.zeros(shape, dtype=np.float32))
    with pytest.raises(BundleCorrupt, match=r"content_weights\.npy: has shape"):
        open_bundle(bundle_path, None)


def test_a_manifest_of_format_1_that_claims_a_content_map_is_refused(bundle_path: Path) -> None:
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    manifest |= {"format_version": 1, "kind": "als", "blend": None}
    _write_manifest(bundle_path, manifest)
    with pytest.raises(BundleCorrupt, match="format 1 has none of"):
        open_bundle(bundle_path, None)


def test_arrays_are_read_only_maps(published: Path) -> None:
    bundle = open_bundle(published, None)
    with pytest.raises(ValueError, match="read-only"):
        bundle.item_factors[0, 0] = 1.0


@pytest.mark.parametrize("name", [*FILES, "report.html"])
def test_one_flipped_byte_is_refused_by_the_files_name(bundle_path: Path, name: str) -> None:
    file = bundle_path / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x01
    file.write_bytes(bytes(content))
    with pytest.raises(BundleCorrupt, match=name):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_truncated_file_is_refused_by_its_name(bundle_path: Path, name: str) -> None:
    file = bundle_path / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleCorrupt, match=name):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ALL_FILES)
def test_a_missing_file_is_refused_by_its_name(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    with pytest.raises(BundleCorrupt, match=name):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_no_byte_of_the_manifest_or_its_seal_can_change_unnoticed(bundle_path: Path, name: str) -> None:
    file = bundle_path / name
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x01]) + content[place + 1 :])
        with pytest.raises((BundleCorrupt, FormatUnsupported), match=r"manifest|bundle format"):
            open_bundle(bundle_path, None)


def test_a_receipt_spares_the_second_check_but_not_after_a_change(bundle_path: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "receipts"
    open_bundle(bundle_path, receipts)
    file = bundle_path / "popularity.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x01
    file.write_bytes(bytes(content))
    with pytest.raises(BundleCorrupt, match=r"popularity\.npy"):
        open_bundle(bundle_path, receipts)


def test_a_full_check_does_not_trust_the_receipt(bundle_path: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "receipts"
    open_bundle(bundle_path, receipts)
    file = bundle_path / "popularity.npy"
    stat = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x01
    with file.open("r+b") as handle:
        handle.write(bytes(content))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(BundleCorrupt, match=r"popularity\.npy"):
        open_bundle(bundle_path, receipts, full=True)


def test_a_pickle_in_the_place_of_an_array_is_not_loaded(bundle_path: Path) -> None:
    file = bundle_path / "popularity.npy"
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    manifest["files"]["popularity.npy"] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    _write_manifest(bundle_path, manifest)
    with pytest.raises(BundleCorrupt, match=r"popularity\.npy"):
        open_bundle(bundle_path, None)


def test_arrays_that_do_not_fit_together_are_refused(bundle_path: Path) -> None:
    for gram in (np.eye(3), np.ones(3), np.float64(1.0), np.ones((1, 1, 1))):
        _replace(bundle_path, "gram", gram)
        with pytest.raises(BundleCorrupt, match=r"gram\.npy: has shape"):
            open_bundle(bundle_path, None)


@pytest.mark.parametrize(
    ("value", "problem"), [(np.nan, "not finite"), (np.inf, "not finite"), (-1e-9, "negative sum of squares")]
)
@pytest.mark.parametrize("square", [False, True])
def test_a_gram_that_nothing_can_be_folded_in_with_is_refused(
    bundle_path: Path, value: float, problem: str, square: bool
) -> None:
    gram = np.load(bundle_path / "gram.npy")
    gram[2] = value
    _replace(bundle_path, "gram", np.diag(gram) if square else gram)
    with pytest.raises(BundleCorrupt, match=rf"gram\.npy: .*{problem}"):
        open_bundle(bundle_path, None)


def test_another_format_version_is_said_to_be_that(bundle_path: Path) -> None:
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    manifest["format_version"] = 5
    _write_manifest(bundle_path, manifest)
    with pytest.raises(FormatUnsupported, match="bundle format 5; this release reads 1, 2, 3 and 4: train again"):
        open_bundle(bundle_path, None)


def test_a_manifest_cannot_point_outside_its_directory(bundle_path: Path) -> None:
    manifest = json.loads((bundle_path / "manifest.json").read_text())
    manifest["files"]["../evil"] = {"sha256": "0" * 64, "bytes": 0}
    _write_manifest(bundle_path, manifest)
    with pytest.raises(BundleCorrupt, match="plain file name"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ORDER_ARRAYS)
@pytest.mark.parametrize("row", [-1, 300])
def test_orders_of_items_that_are_not_there_are_refused(bundle_path: Path, name: str, row: int) -> None:
    _replace(bundle_path, name, _with(np.load(bundle_path / f"{name}.npy"), 2, row))
    with pytest.raises(BundleCorrupt, match=rf"{re.escape(name)}\.npy: names items that the bundle does not have"):
        open_bundle(bundle_path, None)


@pytest.mark.parametrize("name", ["orders.popular", "orders.latest", "orders.trending"])
def test_orders_that_name_an_item_twice_are_refused(bundle_path: Path, name: str) -> None:
    rows = np.load(bundle_path / f"{name}.npy")
    rows[1] = rows[0]
    _replace(bundle_path, name, rows)
    with pytest.raises(BundleCorrupt, match=rf"{re.escape(name)}\.npy: names an item twice"):
        open_bundle(bundle_path, None)
