"""Folding a user in: the ALS user half-step for one user, and the explanation that comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dpotrs

from recsvc.bundle.manifest import Objective
from recsvc.bundle.types import Float32, Float64, Int32

NOTHING: Final = -1
"""Stands where there is no item to name."""


class System(Protocol):
    """The matrix A of a user's equations."""

    def solve(self, columns: Float64) -> Float64:
        """A⁻¹ of `columns` float64 (n_factors, k)."""


@dataclass(frozen=True, slots=True)
class _Dense:
    """A by its Cholesky factor, float64 (n_factors, n_factors)."""

    cholesky: Float64

    def solve(self, columns: Float64) -> Float64:
        solved: Float64 = dpotrs(self.cholesky, columns, lower=1)[0]
        return solved


@dataclass(frozen=True, slots=True)
class _LowRank:
    """A = D + HᵀEH by Woodbury's identity (Henderson & Searle, SIAM Review 23(1), 1981): with W = HD⁻¹,
    A⁻¹ = D⁻¹ − WᵀE^½ (I + E^½HD⁻¹HᵀE^½)⁻¹ E^½W, so of a history of n items n equations are solved.

    `diagonal` float64 (n_factors,) = D; `scaled` float64 (n, n_factors) = E^½W; `cholesky` float64 (n, n) is the
    bracket's.
    """

    diagonal: Float64
    scaled: Float64
    cholesky: Float64

    def solve(self, columns: Float64) -> Float64:
        inner, _ = dpotrs(self.cholesky, self.scaled @ columns, lower=1)
        solved: Float64 = columns / self.diagonal[:, None] - self.scaled.T @ inner
        return solved


@dataclass(frozen=True, slots=True)
class Folded:
    """A user folded in: `vector` float32 (n_factors,), and what is needed to explain a score."""

    vector: Float32
    _system: System
    _history: Float64
    _items: Int32
    _confidence: Float64

    def explain(self, candidates: Float32, per_item: int) -> Int32:
        """For each candidate the rows of the user's own items that raised its score most; int32 (k, per_item).

        `candidates` float32 (k, n_factors), the candidates' factors. The score of item i is linear in the
        positive history, s_i = Σ_j c_j · yᵢᵀ A⁻¹ yⱼ (Hu, Koren & Volinsky 2008, section 5); the terms are
        ranked, best first, only those that contribute positively; NOTHING where there are no more.
        """
        rows, terms = self.terms(candidates)
        return strongest(rows, terms, per_item)

    def terms(self, candidates: Float32) -> tuple[Int32, Float64]:
        """The user's own positive items, and what each adds to each candidate's score: rows int32 (p,), float64 (p, k).

        `candidates` float32 (k, n_factors). The columns sum to the scores, which negative confidences only lower
        through A.
        """
        own, rows, confidence = self._history, self._items, self._confidence
        positive = confidence > 0
        if not positive.all():
            own, rows, confidence = own[positive], rows[positive], confidence[positive]
        if not len(rows) or not len(candidates):
            return rows, np.zeros((len(rows), len(candidates)))
        shown = candidates.astype(np.float64)
        # A is symmetric: solved for whichever side is the shorter one.
        solve = self._system.solve
        terms = solve(own.T).T @ shown.T if len(own) <= len(shown) else own @ solve(shown.T)
        return rows, terms * confidence[:, None]


def strongest(rows: Int32, terms: Float64, per_item: int) -> Int32:
    """For each column of `terms` (p, k) the rows int32 (p,) of its largest positive terms, best first, equal ones in
    their order; int32 (k, per_item), NOTHING where there are no more."""
    found = np.full((terms.shape[1], per_item), NOTHING, dtype=np.int32)
    left, columns = terms.T.copy(), np.arange(terms.shape[1])
    for place in range(min(per_item, len(rows))):
        best = left.argmax(axis=1)
        found[:, place] = np.where(left[columns, best] > 0, rows[best], NOTHING)
        left[columns, best] = -np.inf
    return found


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
    `gram` float64 = YᵀY, (n_factors, n_factors) or, where the factors lie along their principal
    axes, its diagonal (n_factors,): a history of n < n_factors items then takes a system of n equations;
    `item_factors` float32 (n_items, n_factors); `items` int32 (n,) distinct item rows; `confidence` float32 (n,) signed
    as in `Interactions`; `regularization` the λ of this history (`effective_regularization`). Computed in float64, as
    training's last half-step is, so that a stored user folded in without news is the stored row. Raises LinAlgError
    when the equations are singular.
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
    target = history.T @ np.maximum(signed, 0.0)
    if gram.ndim == 1 and 0 < len(history) < len(gram):
        low_rank = _low_rank(gram + regularization, history, extra)
        return Folded(low_rank.solve(target[:, None])[:, 0].astype(np.float32), low_rank, history, items, signed)
    system = (history * extra[:, None]).T @ history
    if gram.ndim == 1:
        system.reshape(-1)[:: len(gram) + 1] += gram + regularization
    else:
        system += gram
        system.reshape(-1)[:: len(gram) + 1] += regularization
    # LAPACK reads columns: the transpose of the symmetric system is solved in place, where the system would be copied.
    cholesky, solution, info = dposv(system.T, target, lower=1, overwrite_a=1, overwrite_b=1)
    if info != 0:
        raise _singular()
    return Folded(solution.astype(np.float32), _Dense(cholesky), history, items, signed)


def _low_rank(diagonal: Float64, history: Float64, extra: Float64) -> _LowRank:
    if not (diagonal > 0).all():
        raise _singular()
    weighted = np.sqrt(extra)[:, None] * history
    scaled = weighted / diagonal
    inner = scaled @ weighted.T
    inner.reshape(-1)[:: len(history) + 1] += 1.0
    cholesky, info = dpotrf(inner.T, lower=1, overwrite_a=1)
    if info != 0:
        raise _singular()
    return _LowRank(diagonal, scaled, cholesky)


def _singular() -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError("the fold-in system is singular; train with a regularisation above 0")
