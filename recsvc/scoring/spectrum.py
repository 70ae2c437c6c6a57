"""The smooth part of a history: a linear graph filter of low rank, for one user.

Shen et al., *How powerful is graph convolution for recommendation?*, CIKM 2021 (GF-CF): what a history leaves after an
ideal low-pass filter on the graph of items that users share. A history of h items counts h^(−½), as there.
"""

from __future__ import annotations

import numpy as np

from recsvc.bundle.types import Float32, Int32, Spectrum


def encoded(spectrum: Spectrum, history: Int32) -> Float32:
    """h^(−½) Σ V_j/s_j over the items of a history; float32 (k,).

    `history` int32 (h,) distinct item rows; rows behind the spectrum's add nothing. Summed in float64, so that the
    order of the history hardly matters.
    """
    known = history[history < len(spectrum.scale)]
    vectors = spectrum.vectors[known].astype(np.float64) / spectrum.scale[known, None]
    return np.asarray(vectors.sum(axis=0) / np.sqrt(max(len(history), 1)), dtype=np.float32)


def item_terms(spectrum: Spectrum, history: Int32, rows: Int32) -> Float32:
    """What each item of the history adds to the score of each row; float32 (h, m).

    `rows` int32 (m,). The columns sum to `encoded` · s_i V_i; 0 for rows behind the spectrum's, on either side.
    """
    n_items = len(spectrum.scale)
    terms = np.zeros((len(history), len(rows)), dtype=np.float32)
    known, shown = np.flatnonzero(history < n_items), np.flatnonzero(rows < n_items)
    own, scored = history[known], rows[shown]
    encoder = spectrum.vectors[own] / spectrum.scale[own, None]
    decoder = spectrum.vectors[scored] * spectrum.scale[scored, None]
    terms[np.ix_(known, shown)] = encoder @ decoder.T / np.sqrt(max(len(history), 1))
    return terms
