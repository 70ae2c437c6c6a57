"""A bundle is published whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.bundle.writer import new_version, write_bundle
from tests.builders import make_bundle, make_contents, make_manifest


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    contents = make_contents()
    broken = replace(contents, user_factors=np.full_like(contents.user_factors, np.nan))
    with pytest.raises(ValueError, match=r"user_factors holds a value that is not finite"):
        write_bundle(tmp_path, broken, lambda files: make_manifest(contents, files, version=new_version()))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_dtype_is_named(tmp_path: Path) -> None:
    contents = make_contents()
    broken = replace(contents, popularity=contents.popularity.astype(np.float64))
    with pytest.raises(ValueError, match="popularity is float64"):
        write_bundle(tmp_path, broken, lambda files: make_manifest(contents, files, version=new_version()))


def test_a_published_version_is_never_overwritten(tmp_path: Path) -> None:
    contents, version = make_contents(), new_version()
    write_bundle(tmp_path, contents, lambda files: make_manifest(contents, files, version=version))
    before = (tmp_path / version / "manifest.json").read_bytes()
    with pytest.raises(OSError, match="not empty"):
        write_bundle(tmp_path, contents, lambda files: make_manifest(contents, files, version=version))
    assert (tmp_path / version / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [version]


def test_the_orders_of_a_bundle_are_those_of_its_columns(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    orders, catalogue = bundle.orders, bundle.catalogue
    assert orders is not None
    assert (np.diff(bundle.popularity[orders.popular]) <= 0).all()
    assert sorted(orders.popular.tolist()) == list(range(len(bundle.items)))
    assert set(orders.trending.tolist()) == set(np.flatnonzero(bundle.trending > 0).tolist())
    assert (np.diff(catalogue.published_at[orders.latest]) <= 0).all()
    for code, name in enumerate(catalogue.categories):
        start, end = catalogue.category_indptr[code : code + 2]
        rows = orders.category_popular[start:end]
        assert set(rows.tolist()) == set(catalogue.items_in(name).tolist())
        assert (np.diff(bundle.popularity[rows]) <= 0).all()
