"""Sets of item rows as arrays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from recsvc.bundle.types import Bool, Int32


def array(rows: Iterable[int]) -> Int32:
    """The rows as int32 (n,)."""
    # A tuple first: made in one step, while the event loop may change the set.
    return np.array(tuple(rows), dtype=np.int32)


def rows_where(mask: Bool) -> Int32:
    """The rows at which `mask` is True; int32 (≤ len(mask),)."""
    return np.flatnonzero(mask).astype(np.int32)


def without(rows: Int32, others: Int32) -> Int32:
    """Those of `rows` that are not among `others`, in their order."""
    return rows[~np.isin(rows, others)] if len(others) else rows
