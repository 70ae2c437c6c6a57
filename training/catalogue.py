"""Item columns, as readers give them, to the catalogue arrays of a bundle."""

from __future__ import annotations

import numpy as np

from recsvc.bundle.types import Catalogue, IdTable, Int32, Int64, StringTable
from training.sources.dataset import ItemColumns


def build_catalogue(columns: ItemColumns) -> Catalogue:
    """Encodes creators and categories as codes, and categories both ways round (CSR)."""
    creators = IdTable.of(name for name in columns.creators if name)
    creator_codes = {name: code for code, name in enumerate(creators)}
    categories = IdTable.of(name for names in columns.categories for name in names)
    category_codes = {name: code for code, name in enumerate(categories)}
    codes_of = [sorted({category_codes[name] for name in names}) for names in columns.categories]
    item_indptr = _indptr([len(codes) for codes in codes_of])
    item_categories = np.array([code for codes in codes_of for code in codes], dtype=np.int32)
    rows = np.repeat(np.arange(len(codes_of), dtype=np.int32), np.diff(item_indptr))
    category_indptr, category_items = _transposed(item_categories, rows, len(categories))
    return Catalogue(
        titles=StringTable.of(columns.titles),
        creators=creators,
        creator_of=np.array([creator_codes.get(name, -1) for name in columns.creators], dtype=np.int32),
        categories=categories,
        item_indptr=item_indptr,
        item_categories=item_categories,
        category_indptr=category_indptr,
        category_items=category_items,
        published_at=columns.published_at.astype(np.int64),
    )


def _indptr(lengths: list[int]) -> Int64:
    indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    return indptr


def _transposed(codes: Int32, rows: Int32, n_codes: int) -> tuple[Int64, Int32]:
    order = np.argsort(codes, kind="stable")
    return _indptr(np.bincount(codes, minlength=n_codes).tolist()), rows[order]
