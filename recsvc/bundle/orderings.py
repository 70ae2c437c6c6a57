"""The orders of items that are the same for everybody, made once, when a bundle is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import NO_TIME, Catalogue, Float32, Int32, Orders


def orders_of(popularity: Float32, trending: Float32, catalogue: Catalogue) -> Orders:
    """See `Orders`. `popularity`, `trending` float32 (n_items,)."""
    rows = np.arange(len(popularity), dtype=np.int32)
    dates = catalogue.published_at
    by_category = np.concatenate(
        [
            np.empty(0, dtype=np.int32),
            *(
                descending(popularity, catalogue.category_items[start:end])
                for start, end in zip(catalogue.category_indptr, catalogue.category_indptr[1:], strict=False)
            ),
        ]
    )
    return Orders(
        popular=descending(popularity, rows),
        trending=descending(trending, rows[trending > 0]),
        latest=descending(dates, rows[dates != NO_TIME]),
        category_popular=by_category.astype(np.int32),
    )


def descending(values: npt.NDArray[Any], rows: Int32) -> Int32:
    """The rows by their values, the largest first and equal ones as they stand; int32."""
    return np.asarray(rows[np.argsort(-values[rows], kind="stable")], dtype=np.int32)
