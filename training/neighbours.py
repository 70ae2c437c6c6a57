"""Item × item weights: how much each item of a user's history raises each other item.

A weight matrix is float32 CSR (n_items, n_items) **by history item**: row j lists the items i that j raises (or
lowers), ascending, with W[j, i]. A user's score of i is Σ W[j, i] over the user's positive items j.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight
from scipy.sparse import csc_matrix, csr_matrix, diags_array

from recsvc.bundle.types import Float32, Float64, Int64
from training.config import NeighboursConfig
from training.errors import DataInvalid
from training.inverse import invert_positive
from training.memory import available_memory
from training.metrics import positives, user_vectors

Counted: TypeAlias = Literal["cosine", "bm25"]
Similarity: TypeAlias = Literal["cosine", "bm25", "linear"]

_BM25_K1, _BM25_B = 1.2, 0.75
"""Saturation and length normalisation, as usual (Robertson & Zaragoza 2009, section 3.3)."""
_VALUES_PER_BLOCK: Final = 16_000_000
"""Dense values held beside the Gram matrix: 64 MB as float32, a few times that while they are ranked."""
_LARGEST: Final = 1e30
"""A larger diagonal has an inverse that float32 cannot tell from 0."""
_SPARE: Final = 1.1
"""Memory asked for, in units of the Gram matrix: the blocks and the sparse result come on top of it."""


def fit_neighbours(train: csr_matrix, similarity: Similarity, config: NeighboursConfig, *, threads: int) -> csr_matrix:
    """The weights of the similarity asked for, at most `config.keep` for each scored item, none of an item to itself.

    `train` float32 users × items, signed confidence; only its positive part counts, each pair as 1. Raises
    DataInvalid when "linear" is asked of more items than fit.
    """
    if similarity == "linear":
        return fit_linear(train, config)
    weights = counted_similarity(train, similarity, min(config.keep + 1, train.shape[1]), threads=threads)
    weights.setdiag(0)
    weights.eliminate_zeros()
    return weights


def counted_similarity(train: csr_matrix, similarity: Counted, keep: int, *, threads: int) -> csr_matrix:
    """Cosine or BM25-weighted similarity of the items' users, by `implicit`; CSR by history item.

    For each item that is scored the `keep` items it is most like, itself included, are kept, as in Sarwar et al. (WWW
    2001). (`implicit`'s own `recommend` takes those of the user's items: on Gowalla its Recall@20 is .116, this
    one's .127.)
    """
    by_item = user_vectors(train)
    if similarity == "bm25" and by_item.nnz:
        by_item = csr_matrix(bm25_weight(positives(train).T, K1=_BM25_K1, B=_BM25_B))
    # implicit's own cosine and BM25 classes hand themselves COO matrices, and warn of it.
    model = ItemItemRecommender(K=keep, num_threads=threads)
    model.fit(csr_matrix(by_item.T, dtype=np.float64), show_progress=False)
    # Row i of implicit's matrix holds the neighbours of i, which is scored.
    weights = csr_matrix(model.similarity.T, dtype=np.float32)
    weights.sort_indices()
    return weights


def fit_linear(train: csr_matrix, config: NeighboursConfig) -> csr_matrix:
    """The linear item × item model that best predicts each item from the others; CSR by history item.

    EDLAE, Steck, *Autoencoders that don't overfit towards the identity*, NeurIPS 2020, on scaled data
    X = D_u^(−a) R D_i^(−b), R binary, D_u and D_i the numbers of positive items of the users and users of the items:

        B = argmin |X − X·B|² + |Λ^½·B|²  with diag(B) = 0,   Λ = p/(1−p) · diag(XᵀX) + λ · mean(diag(XᵀX))
        C = (XᵀX + Λ)⁻¹,   B[j,i] = −C[j,i] / C[i,i],   W[j,i] = d_j^(−b) · B[j,i] · d_i^b

    With a = b = p = 0 it is EASE (Steck, *Embarrassingly shallow autoencoders for sparse data*, WWW 2019). Of each
    column of W the `keep` weights of the largest size are kept. An item that nobody has has no weights. Memory is
    4 n² bytes for n items with users: the matrix is inverted in place, in float32.
    """
    liked = positives(train)
    n_users_of = np.bincount(liked.indices, minlength=liked.shape[1])
    items = np.flatnonzero(n_users_of)
    if not len(items):
        return csr_matrix(liked.T @ liked)  # as many items, and nothing in it
    _check_size(len(items), config.maximum_items)
    degree = n_users_of[items].astype(np.float64)
    per_user = np.maximum(np.diff(liked.indptr), 1).astype(np.float64) ** -config.user_exponent
    scaled = csc_matrix(diags_array(per_user) @ liked[:, items] @ diags_array(degree**-config.item_exponent))
    gram = _gram(csc_matrix(scaled, dtype=np.float32))
    diagonal = gram.diagonal().astype(np.float64)
    strengthened = diagonal / (1.0 - config.dropout) + config.regularization * diagonal.mean()
    if not (strengthened < _LARGEST).all():
        raise DataInvalid("the linear neighbours do not fit into float32: lower neighbours.regularization")
    np.fill_diagonal(gram, strengthened)
    return _spread(_kept(_inverted(gram), degree**config.item_exponent, config.keep), items, liked.shape[1])


def _check_size(n_items: int, maximum: int) -> None:
    remedy = 'set neighbours.similarity = "cosine" (or model.kind = "item-item"), which needs no such matrix'
    if n_items > maximum:
        raise DataInvalid(
            f"linear neighbours of {n_items:,} items: neighbours.maximum_items is {maximum:,}; raise it, or {remedy}"
        )
    needed, available = int(_SPARE * 4 * n_items**2), available_memory()
    if available is not None and needed > available:
        raise DataInvalid(
            f"linear neighbours of {n_items:,} items need {needed / 1e9:.1f} GB of memory, and "
            f"{available / 1e9:.1f} GB are left; {remedy}"
        )


def _gram(scaled: csc_matrix) -> Float32:
    """XᵀX, its lower triangle at least; float32 (n, n)."""
    n = scaled.shape[1]
    gram: Float32 = np.zeros((n, n), dtype=np.float32)
    transposed = csr_matrix(scaled.T)
    for block in _blocks(n):
        gram[block.start :, block] = (transposed[block.start :] @ scaled[:, block]).toarray()
    return gram


def _inverted(gram: Float32) -> Float32:
    """The lower triangle of the inverse, in the memory of the matrix. Raises DataInvalid when it is not definite."""
    try:
        invert_positive(gram)
    except np.linalg.LinAlgError as exc:
        raise DataInvalid(
            "the linear neighbours cannot be solved for: raise neighbours.regularization in the settings"
        ) from exc
    return gram


def _kept(inverse: Float32, scale: Float64, keep: int) -> csr_matrix:
    """The largest weights of each scored item; CSR (n, n) by scored item."""
    n = len(inverse)
    width = min(keep, n)
    wanted: Float32 = np.empty((n, width), dtype=np.float32)
    columns: Int64 = np.empty((n, width), dtype=np.int64)
    scale32 = scale.astype(np.float32)
    for block in _blocks(n):
        rows = _symmetric_rows(inverse, block)
        own = np.arange(len(rows))
        of_itself = rows[own, own + block.start].copy()
        rows[own, own + block.start] = 0.0
        rows *= -(scale32[block] / of_itself)[:, None]
        rows /= scale32
        chosen = np.argpartition(np.abs(rows), n - width, axis=1)[:, n - width :]
        columns[block] = np.sort(chosen, axis=1)
        wanted[block] = np.take_along_axis(rows, columns[block], axis=1)
    kept = csr_matrix((wanted.ravel(), columns.ravel(), np.arange(0, n * width + 1, width)), shape=(n, n))
    kept.eliminate_zeros()
    return kept


def _symmetric_rows(lower: Float32, block: slice) -> Float32:
    """Some whole rows of a symmetric matrix of which the lower triangle is there; float32 (rows, n), a copy."""
    rows: Float32 = np.empty((block.stop - block.start, len(lower)), dtype=np.float32)
    rows[:, : block.start] = lower[block, : block.start]
    rows[:, block.start :] = lower[block.start :, block].T
    corner = np.tril(lower[block, block])
    rows[:, block] = corner + np.tril(corner, -1).T
    return rows


def _spread(by_scored: csr_matrix, items: Int64, n_items: int) -> csr_matrix:
    """Weights among `items`, by scored item, as weights among all items, by history item."""
    entries = by_scored.tocoo()
    weights = csr_matrix((entries.data, (items[entries.col], items[entries.row])), shape=(n_items, n_items))
    weights.sort_indices()
    return weights


def _blocks(n: int) -> Iterator[slice]:
    """Slices of rows of n values that fit in `_VALUES_PER_BLOCK`."""
    size = max(1, _VALUES_PER_BLOCK // max(n, 1))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
