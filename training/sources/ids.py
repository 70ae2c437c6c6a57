"""Ids to codes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.bundle.types import Int32


def factorise(column: Any) -> tuple[Int32, list[str]]:
    """A pyarrow column of text, bytes or whole numbers as codes int32 (n,), -1 for null, and the distinct labels.

    The labels stand in the order of their first row; a number's label is its decimal text; bytes that are not UTF-8
    become lone surrogates, which the rules for ids refuse.
    """
    encoded = column.dictionary_encode()
    if encoded.num_chunks == 0:
        return np.empty(0, dtype=np.int32), []
    codes = np.concatenate(
        [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    ).astype(np.int32, copy=False)
    # A ChunkedArray's chunks grow one dictionary, so the last one has all the labels.
    dictionary = encoded.chunks[-1].dictionary
    if pa.types.is_integer(dictionary.type):
        dictionary = pc.cast(dictionary, pa.string())
    return codes, _labels(dictionary)


def _labels(dictionary: Any) -> list[str]:
    try:
        labels: list[str | bytes] = dictionary.to_pylist()
    except UnicodeDecodeError:
        labels = pc.cast(dictionary, pa.large_binary()).to_pylist()
    return [x.decode("utf-8", errors="surrogateescape") if isinstance(x, bytes) else x for x in labels]


def byte_order(labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """The positions of the labels in the order of their UTF-8 bytes; int64 (n,)."""
    order: npt.NDArray[np.int64] = pc.sort_indices(pa.array(labels, type=pa.large_string())).to_numpy().astype(np.int64)
    return order


def recode(codes: Int32, labels: list[str], extra: Sequence[str] = ()) -> tuple[Int32, list[str]]:
    """Codes into the labels that occur and the `extra` ones, distinct and sorted by UTF-8 bytes.

    `codes` int32 (n,), each a position in `labels`. Returns the new codes and the sorted labels.
    """
    occurs = np.zeros(len(labels), dtype=np.bool_)
    occurs[codes] = True
    used = np.flatnonzero(occurs).tolist()
    known = {labels[position]: rank for rank, position in enumerate(used)}
    names = list(known)
    names.extend(dict.fromkeys(label for label in extra if label not in known))
    order = byte_order(names)
    rank_of = np.empty(len(names), dtype=np.int32)
    rank_of[order] = np.arange(len(names), dtype=np.int32)
    new_code = np.full(len(labels), -1, dtype=np.int32)
    new_code[used] = rank_of[: len(used)]
    return new_code[codes], [names[position] for position in order.tolist()]
