"""The ALS objective written out densely, to check the solvers against."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse


def signed_matrix(seed: int = 0, n_users: int = 120, n_items: int = 60, density: float = 0.1) -> csr_matrix:
    """Random confidences from 1 to 21, a fifth of them negative, a twentieth faded to next to 1; float32."""
    matrix = random_sparse(n_users, n_items, density, format="csr", dtype=np.float32, random_state=seed)
    matrix.data = (1 + 20 * matrix.data) * np.where(np.arange(matrix.nnz) % 5, 1, -1).astype(np.float32)
    matrix.data[::20] = np.sign(matrix.data[::20]) * np.float32(1.001)
    matrix.sort_indices()
    return matrix


def dense(confidence: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and preference of every pair, float64 users × items."""
    signed = confidence.toarray().astype(np.float64)
    return np.where(signed == 0, 1.0, np.abs(signed)), (signed > 0).astype(np.float64)


def objective(confidence: csr_matrix, users: np.ndarray, items: np.ndarray, lam: float, nu: float) -> float:
    """Σ c (p − x·y)² + λ Σ s_u^ν |x_u|² + λ Σ s_i^ν |y_i|²."""
    c, p = dense(confidence)
    users, items = users.astype(np.float64), items.astype(np.float64)
    penalty = (c.sum(1) ** nu) @ (users**2).sum(1) + (c.sum(0) ** nu) @ (items**2).sum(1)
    return float((c * (p - users @ items.T) ** 2).sum() + lam * penalty)


def solved_rows(confidence: csr_matrix, items: np.ndarray, regularization: np.ndarray) -> np.ndarray:
    """The minimiser of each row by the plain equations, float64."""
    c, p = dense(confidence)
    wide = items.astype(np.float64)
    eye = np.eye(wide.shape[1])
    systems = [(wide.T * row) @ wide + lam * eye for row, lam in zip(c, regularization, strict=True)]
    return np.array([np.linalg.solve(a, wide.T @ (row * q)) for a, row, q in zip(systems, c, p, strict=True)])
