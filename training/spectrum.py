"""The spectrum of a training matrix: its leading singular vectors, as a filter of histories."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds

from recsvc.bundle.types import Spectrum
from training.config import SpectrumConfig
from training.metrics import positives

_TOLERANCE: Final = 1e-3
"""Of the singular values, relative: more exact ones take longer and rank nothing better."""
_SEED: Final = 0
"""Of the vector that the iteration starts from; what it converges to does not depend on it but for rounding."""


def fit_spectrum(train: csr_matrix, config: SpectrumConfig) -> Spectrum:
    """The ideal low-pass filter of GF-CF (Shen et al., CIKM 2021, section 4.2).

    With X = D_u^(−a) R D_i^(−b), R binary, D_u and D_i the numbers of positive items of the users and users of the
    items, and V the right singular vectors of its `dimensions` largest singular values: W = D_i^(−b) V Vᵀ D_i^b.
    `train` float32 users × items, signed confidence; only its positive part counts, each pair as 1. Fewer dimensions
    come where the matrix has fewer; an item that nobody has has a vector of 0. By ARPACK (`scipy.sparse.linalg.svds`).
    """
    liked = positives(train)
    n_users_of = np.bincount(liked.indices, minlength=liked.shape[1]).astype(np.float64)
    scale = np.maximum(n_users_of, 1.0) ** config.item_exponent
    per_user = np.maximum(np.diff(liked.indptr), 1.0) ** -config.user_exponent
    scaled = csr_matrix(diags_array(per_user) @ liked @ diags_array(1.0 / scale), dtype=np.float32)
    dimensions = min(config.dimensions, min(scaled.shape) - 1)
    if dimensions < 1 or not scaled.nnz:
        return Spectrum(np.zeros((scaled.shape[1], 1), dtype=np.float32), scale.astype(np.float32))
    rng = np.random.default_rng(_SEED)
    # The stubs know the letters of LAPACK, SciPy its own.
    wanted: Any = "vh"
    _, _, found = svds(scaled, k=dimensions, tol=_TOLERANCE, return_singular_vectors=wanted, rng=rng)
    vectors = np.ascontiguousarray(found[::-1].T, dtype=np.float32)
    vectors[n_users_of == 0] = 0.0  # rounding
    return Spectrum(vectors, scale.astype(np.float32))
