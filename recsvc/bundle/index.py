"""Where the best items for a vector are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recsvc.bundle.types import Float32


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """A faiss index with the vectors it was built of.

    `searcher` finds by inner product, and the id it gives is the row; `vectors` float32 (n_items, n_factors), in a
    bundle the mapped item factors. `pool` None where the searcher is exact; else how many items it is to offer for a
    list of 100, whose exact products with `vectors` then decide.
    """

    searcher: Any
    vectors: Float32
    pool: int | None = None

    def __len__(self) -> int:
        return int(self.searcher.ntotal)

    @property
    def width(self) -> int:
        """The number of factors of a vector that it is asked for."""
        return int(self.searcher.d)
