"""Bayesian personalised ranking (Rendle et al., UAI 2009), through `implicit`; users as fold-in has them."""

from __future__ import annotations

from typing import Final

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from tqdm import tqdm

from recsvc.bundle.types import Float32
from training.als import Factors, exact_users, turned
from training.config import AlsConfig, BprConfig
from training.errors import DataInvalid
from training.metrics import positives
from training.size import sized

_REMEDY: Final = "lower bpr.learning_rate or raise bpr.regularization in the settings"


def fit_bpr(confidence: csr_matrix, als: AlsConfig, bpr: BprConfig, *, progress: str | None = None) -> Factors:
    """Item factors that rank what a user has above what they have not; user factors by the ALS half-step.

    Maximises Σ ln σ(x(u)·y(i) − x(u)·y(j)) over sampled pairs, i one of the user's positive items and j another, less
    λ·|·|², by stochastic gradient. `confidence` float32 users × items, signed; only which pairs are positive counts for
    the items. `als.factors` is the width, one column of it the bias of the items; 0: by the size of the data. The user
    vectors that the gradient found are not kept: they are solved for like those of ALS (`exact_users`), given the
    items, so that a stored row is what fold-in gives. On one core, because the gradient on several is not repeatable:
    the same matrix, settings and seed give the same factors. `progress` names the bar shown; None shows none. Raises
    DataInvalid when the fit does not stay finite.
    """
    model = BayesianPersonalizedRanking(
        factors=max(sized(als, confidence).factors - 1, 1),
        learning_rate=bpr.learning_rate,
        regularization=bpr.regularization,
        iterations=bpr.iterations,
        num_threads=1,
        random_state=als.seed,
    )
    with tqdm(
        total=bpr.iterations,
        desc=progress,
        disable=True if progress is None else None,
        unit="iteration",
        leave=False,
    ) as bar:
        try:
            model.fit(positives(confidence), show_progress=False, callback=lambda *_: bar.update())
        except ModelFitError as exc:
            raise DataInvalid(f"the fit broke off ({exc}); {_REMEDY}") from exc
    items: Float32 = np.array(model.item_factors, dtype=np.float32)
    if not np.isfinite(items).all():
        raise DataInvalid(f"the fit did not stay finite; {_REMEDY}")
    # The gradient leaves where it began what nobody has: such an item is 0, as in ALS.
    items[np.bincount(confidence.indices, weights=confidence.data > 0, minlength=confidence.shape[1]) == 0] = 0.0
    return exact_users(confidence, turned(items), als.regularization, als.frequency_exponent)
