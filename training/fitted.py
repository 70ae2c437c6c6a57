"""Fitting a model of any kind: factors always, the other components where asked for, and how they are summed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import COMPONENTS, BlendSpec, Component, Kind
from recsvc.bundle.types import Float32, Neighbours, Spectrum
from recsvc.scoring.blend import BlendScorer
from training.als import Factors, fit_als
from training.blend_ranker import BlendRanker
from training.bpr import fit_bpr
from training.config import RunConfig
from training.early_stopping import with_chosen_iterations
from training.half_step import cores
from training.index import build_index
from training.neighbours import Similarity, fit_neighbours
from training.rankers import FactorRanker, Ranker
from training.spectrum import fit_spectrum

Weigh: TypeAlias = Callable[[csr_matrix, RunConfig], csr_matrix]
"""Makes item × item weights of a training matrix, as `fit_weights` does."""
_ALONE: Final[dict[Kind, Component]] = {
    "item-item": "neighbours",
    "linear": "neighbours",
    "popularity": "popularity",
}


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What a kind of model is made of.

    `train` float32 users × items, signed confidence, what it was fitted on; `popularity` float32 (n_items,) the summed
    positive weight of the items; `neighbours` and `spectrum` None where no weight of the blend asks for them; `blend`
    None for als and bpr, whose score is that of the factors alone.
    """

    kind: Kind
    train: csr_matrix
    popularity: Float32
    factors: Factors
    neighbours: Neighbours | None
    spectrum: Spectrum | None
    blend: BlendSpec | None


def spec_of(kind: Kind) -> BlendSpec | None:
    """The blend of a kind that has one component; None for als and bpr, and for a blend, whose weights are learnt."""
    return None if kind not in _ALONE else only(_ALONE[kind])


def only(component: Component) -> BlendSpec:
    """One component for everybody."""
    return BlendSpec(bounds=[], weights={name: [float(name == component)] for name in COMPONENTS})


def fit_model(
    train: csr_matrix,
    popularity: Float32,
    config: RunConfig,
    *,
    blend: BlendSpec | None = None,
    progress: str | None = None,
    weigh: Weigh | None = None,
) -> FittedModel:
    """Fits the kind of model that the settings name.

    `train` float32 users × items, signed confidence; `popularity` float32 (n_items,); `blend` the weights of kind
    "blend" (`training.blend` learns them), of no other kind; `progress` names the bars shown; `weigh` fits the item ×
    item weights, `fit_weights` where it is None. Raises DataInvalid when
    a fit does not stay finite or the neighbours do not fit, ValueError for a blend without weights.
    """
    kind = config.model.kind
    if (kind == "blend") != (blend is not None):
        raise ValueError(f"weights are given for kind blend and for no other: {kind} has {blend}")
    spec = blend or spec_of(kind)
    wanted = () if spec is None else spec.components
    return FittedModel(
        kind=kind,
        train=train,
        popularity=popularity,
        factors=fit_factors(train, config, progress=progress),
        neighbours=neighbours_of((weigh or fit_weights)(train, config)) if "neighbours" in wanted else None,
        spectrum=fit_spectrum(train, config.spectrum) if "spectrum" in wanted else None,
        blend=spec,
    )


def fit_factors(train: csr_matrix, config: RunConfig, *, progress: str | None = None) -> Factors:
    """User and item factors, by what the settings name; `train` as `fit_model` takes it."""
    if config.factors_kind == "bpr":
        return fit_bpr(train, config.als, config.bpr, progress=progress)
    return fit_als(train, with_chosen_iterations(train, config.als), progress=progress)


def fit_weights(train: csr_matrix, config: RunConfig) -> csr_matrix:
    """The item × item weights that the settings name; float32 CSR (n_items, n_items) by history item."""
    return fit_neighbours(train, _similarity(config), config.neighbours, threads=cores())


def neighbours_of(weights: csr_matrix) -> Neighbours:
    """Weights by history item as the bundle has them."""
    return Neighbours(
        indptr=weights.indptr.astype(np.int64),
        items=weights.indices.astype(np.int32),
        weights=weights.data.astype(np.float32),
    )


def scorer_of(model: FittedModel) -> BlendScorer | None:
    """The service's scorer of the model; None for als and bpr, whose score is the product of the factors."""
    if model.blend is None:
        return None
    items = model.factors.items
    return BlendScorer(build_index(items), items, model.neighbours, model.popularity, model.blend, model.spectrum)


def ranker_of(model: FittedModel, name: str) -> Ranker:
    """The model as something that ranks the users it was fitted on. Raises TrainingError for factors not finite."""
    scorer = scorer_of(model)
    if scorer is None:
        return FactorRanker(name, model.factors.users, model.factors.items)
    return BlendRanker(name, scorer, model.factors.users, model.train)


def _similarity(config: RunConfig) -> Similarity:
    kind, asked = config.model.kind, config.neighbours.similarity
    if kind == "linear":
        return "linear"
    return "cosine" if kind == "item-item" and asked == "linear" else asked
