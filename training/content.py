"""A ridge map from what is known of items to their factors, so that new items have a vector before anybody met them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import LinearOperator, cg

from recsvc.bundle.types import Bool, ContentMap, Float32, Float64, IdTable, Int32
from recsvc.scoring.content import item_features
from training.sources.dataset import ItemColumns

_DENSE_FEATURES: Final = 3000
"""Up to so many features the normal equations are a dense matrix (72 MB); above it is never formed."""
_HALF_KNOWN_USERS: Final = 10.0
"""An item with so many users counts half as much as one that everybody knows."""
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Features:
    """`matrix` float64 (n_items, n_features), 1 where the item has the feature; column j is `names[j]`."""

    names: IdTable
    matrix: csr_matrix

    @property
    def there(self) -> Bool:
        """Which items have any; bool (n_items,)."""
        some: Bool = np.diff(self.matrix.indptr) > 0
        return some


def features_of(columns: ItemColumns, minimum_items: int) -> Features | None:
    """The features that at least `minimum_items` items have; None when there is none."""
    rows = zip(columns.categories, columns.creators, columns.attributes, strict=True)
    names_of = [item_features(categories, creator, attributes) for categories, creator, attributes in rows]
    counts = Counter(name for names in names_of for name in names)
    names = IdTable.of(name for name, count in counts.items() if count >= minimum_items)
    if not len(names):
        return None
    code_of = {name: code for code, name in enumerate(names)}
    codes = [sorted(code_of[name] for name in names if name in code_of) for names in names_of]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in codes])])
    indices = np.array([code for row in codes for code in row], dtype=np.int32)
    matrix = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(codes), len(names)))
    return Features(names, matrix)


class Ridge:
    """The weighted least squares Σᵢ kᵢ·|yᵢ − b − Wᵀfᵢ|² + λ·|W|² over the items that somebody knows.

    `features` (n_items, n_features); `item_factors` float32 (n_items, n_factors); `users` float64 (n_items,), how many
    have the item: kᵢ = n/(n + 10), because the factors of an item that few have are mostly the penalty's. The bias is
    not penalised: everything is centred on the weighted means. Needs an item with users.
    """

    def __init__(self, features: csr_matrix, item_factors: Float32, users: Float64) -> None:
        known = np.flatnonzero(users)
        self._rows = features[known]
        self._weights = users[known] / (users[known] + _HALF_KNOWN_USERS)
        shares = self._weights / self._weights.sum()
        targets = item_factors[known].astype(np.float64)
        self._mean_features = self._rows.T @ shares
        self._mean_factors = shares @ targets
        self._targets = self._rows.T @ (self._weights[:, None] * (targets - self._mean_factors))
        self.n_items = len(known)

    def fit(self, regularization: float) -> tuple[Float32, Float32]:
        """The minimiser: weights float32 (n_features, n_factors) and bias float32 (n_factors,)."""
        small = self._rows.shape[1] <= _DENSE_FEATURES
        weights = self._dense(regularization) if small else self._iterated(regularization)
        bias = self._mean_factors - self._mean_features @ weights
        return weights.astype(np.float32), bias.astype(np.float32)

    def _dense(self, regularization: float) -> Float64:
        system = (self._rows.T @ diags_array(self._weights) @ self._rows).toarray()
        system -= self._weights.sum() * np.outer(self._mean_features, self._mean_features)
        system.flat[:: len(system) + 1] += regularization
        solved: Float64 = cho_solve(cho_factor(system, overwrite_a=True), self._targets)
        return solved

    def _iterated(self, regularization: float) -> Float64:
        total, mean = self._weights.sum(), self._mean_features

        def product(vector: Any) -> Any:
            flat = np.ravel(vector)
            weighted = self._rows.T @ (self._weights * (self._rows @ flat))
            return weighted - total * (mean @ flat) * mean + regularization * flat

        n_features = self._rows.shape[1]
        system = LinearOperator((n_features, n_features), matvec=product, dtype=np.float64)
        diagonal = self._rows.T @ self._weights + regularization
        scaled = LinearOperator((n_features, n_features), matvec=lambda v: np.ravel(v) / diagonal, dtype=np.float64)
        columns = [cg(system, target, rtol=_TOLERANCE, M=scaled)[0] for target in self._targets.T]
        solved: Float64 = np.stack(columns, axis=1)
        return solved


def vectors(features: csr_matrix, weights: Float32, bias: Float32) -> Float32:
    """The map's vector of each row of features, as `recsvc.scoring.content.content_vector` gives it; float32."""
    mapped: Float32 = (features @ weights.astype(np.float64) + bias).astype(np.float32)
    return mapped


def fit_content(features: Features, item_factors: Float32, users: Float64, regularization: float) -> ContentMap:
    """The map fitted on every item that somebody has; arguments as those of `Ridge`."""
    weights, bias = Ridge(features.matrix, item_factors, users).fit(regularization)
    return ContentMap(features.names, weights, bias)


def category_popularity(features: Features, users: Float64, chosen: Int32) -> Float64:
    """What somebody without a model would rank new items by: the mean number of users of the known items of the same
    categories, of the same creator where there is none, of the same attributes where neither is known.

    `users` as in `Ridge`, 0 for the `chosen` items, int32 rows. Returns float64 (len(chosen),).
    """
    known = users > 0
    counts = features.matrix.T @ known.astype(np.float64)
    sums = features.matrix.T @ users
    mean = np.divide(sums, counts, out=np.zeros(len(counts)), where=counts > 0)
    kinds = np.array([name.partition(":")[0] for name in features.names])
    rows = features.matrix[chosen]
    found = np.zeros(len(chosen))
    missing = np.ones(len(chosen), dtype=np.bool_)
    for kind in ("category", "creator", "attribute"):
        of_kind = ((kinds == kind) & (counts > 0)).astype(np.float64)
        shared = rows @ of_kind
        average = np.divide(rows @ (mean * of_kind), shared, out=np.zeros(len(chosen)), where=shared > 0)
        found = np.where(missing & (shared > 0), average, found)
        missing &= shared == 0
    return found
