"""Folding a user in: the ALS user half-step for one user, and the explanation that comes with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv, dpotrs

from recsvc.bundle.manifest import Objective
from recsvc.bundle.types import Float32, Float64, Int32


@dataclass(frozen=True, slots=True)
class Folded:
    """A user folded in: `vector` float32 (n_factors,), and what is needed to explain a score."""

    vector: Float32
    _cholesky: Float64
    _history: Float64
    _items: Int32
    _confidence: Float64

    def explain(self, candidates: Float32, per_item: int) -> list[list[int]]:
        """For each candidate the rows of the user's own items that raised its score most.

        `candidates` float32 (k, n_factors), the candidates' factors. The score of item i is linear in the
        positive history, s_i = Σ_j c_j · yᵢᵀ A⁻¹ yⱼ (Hu, Koren & Volinsky 2008, section 5); the terms are
        ranked. At most `per_item` rows each, best first, only those that contribute positively.
        """
        rows, terms = self.terms(candidates)
        return strongest(rows, terms, per_item)

    def terms(self, candidates: Float32) -> tuple[Int32, Float64]:
        """The user's own positive items, and what each adds to each candidate's score: rows int32 (p,), float64 (p, k).

        `candidates` float32 (k, n_factors). The columns sum to the scores, which negative confidences only lower
        through A.
        """
        positive = self._confidence > 0
        rows = self._items[positive]
        if not len(rows) or not len(candidates):
            return rows, np.zeros((len(rows), len(candidates)))
        solved, _ = dpotrs(self._cholesky, candidates.T.astype(np.float64))
        return rows, (self._history[positive] @ solved) * self._confidence[positive, None]


def strongest(rows: Int32, terms: Float64, per_item: int) -> list[list[int]]:
    """For each column of `terms` (p, k) the rows int32 (p,) of its largest positive terms, at most `per_item`, best
    first, equal ones in their order."""
    if per_item <= 0 or not len(rows):
        return [[] for _ in range(terms.shape[1])]
    best = np.argsort(-terms, axis=0, kind="stable")[:per_item]
    return [[int(rows[j]) for j in best[:, column] if terms[j, column] > 0] for column in range(terms.shape[1])]


def scaled_regularization(regularization: float, frequency_exponent: float, total: Float64) -> Float64:
    """λ_u = λ · s_u^ν of rows whose confidences add up to `total` = s_u over all columns; float64, as `total`.

    Frequency-scaled regularisation: Rendle, Krichene, Zhang & Koren, RecSys 2022, equation 3, in the confidences of
    `Interactions` (`docs/training.md` has the conversion). ν = 0 is λ for every row.
    """
    scaled: Float64 = regularization * total**frequency_exponent
    return scaled


def effective_regularization(objective: Objective, n_items: int, confidence: Float32) -> float:
    """The λ that a history has: `confidence` float32 (n,) signed as in `Interactions`, among `n_items` of training."""
    total = np.asarray(n_items + (np.abs(confidence.astype(np.float64)) - 1.0).sum())
    return float(scaled_regularization(objective.regularization, objective.frequency_exponent, total))


def fold_in(gram: Float64, item_factors: Float32, items: Int32, confidence: Float32, regularization: float) -> Folded:
    """Solves for the user vector that the training objective gives this history.

    x = A⁻¹ Yᵀ C p with A = YᵀY + Yᵀ(C − I)Y + λI (Hu, Koren & Volinsky, ICDM 2008, equation 4).
    `gram` float64 (n_factors, n_factors) = YᵀY; `item_factors` float32 (n_items, n_factors); `items` int32 (n,)
    distinct item rows; `confidence` float32 (n,) signed as in `Interactions`; `regularization` the λ of this history
    (`effective_regularization`). Computed in float64, as training's
    last half-step is, so that a stored user folded in without news is the stored row.
    """
    return fold_in_vectors(gram, item_factors[items], items, confidence, regularization)


def fold_in_vectors(
    gram: Float64, vectors: Float32, items: Int32, confidence: Float32, regularization: float
) -> Folded:
    """`fold_in` with the factors of the history itself: `vectors` float32 (n, n_factors), row i of `items[i]`.

    So items count that the model has no factors for; what is not part of `gram` enters with confidence − 1 alone.
    """
    history = vectors.astype(np.float64)
    signed = confidence.astype(np.float64)
    extra = np.abs(signed) - 1.0
    system = gram + (history * extra[:, None]).T @ history
    system.flat[:: len(gram) + 1] += regularization
    target = history.T @ np.maximum(signed, 0.0)
    cholesky, solution, info = dposv(system, target)
    if info != 0:
        raise np.linalg.LinAlgError("the fold-in system is singular; train with a regularisation above 0")
    return Folded(solution.astype(np.float32), cholesky, history, items, signed)
