"""Every kind of model: what it is made of, and that it ranks as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsvc.bundle.manifest import BlendSpec, Kind
from training.blend_ranker import BlendRanker
from training.config import RunConfig, load_config
from training.fitted import FittedModel, fit_model, ranker_of
from training.rankers import FactorRanker, PopularityRanker

N_USERS, N_ITEMS = 60, 25
KINDS: tuple[Kind, ...] = get_args(Kind)
BLEND = BlendSpec(
    bounds=[2], weights={"factors": [1, 1], "neighbours": [0, 0.5], "popularity": [0.2, 0], "spectrum": [0, 2]}
)


def settings(kind: str, tmp_path: Path, more: str = "") -> RunConfig:
    file = tmp_path / "settings.toml"
    file.write_text(f'[model]\nkind = "{kind}"\n[als]\nfactors = 4\n[bpr]\niterations = 3\n{more}')
    return load_config("none", file)


def data() -> tuple[csr_matrix, np.ndarray]:
    rng = np.random.default_rng(0)
    train = csr_matrix(np.where(rng.random((N_USERS, N_ITEMS)) < 0.25, 11.0, 0).astype(np.float32))
    return train, np.asarray(train.sum(axis=0), dtype=np.float32).ravel()


def fitted(kind: Kind, tmp_path: Path, more: str = "", **given: Any) -> FittedModel:
    train, popularity = data()
    blend = BLEND if kind == "blend" else None
    return fit_model(train, popularity, settings(kind, tmp_path, more), **{"blend": blend, **given})


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_what_its_score_is_made_of_and_factors_always(kind: Kind, tmp_path: Path) -> None:
    model = fitted(kind, tmp_path)
    assert model.kind == kind
    assert (model.neighbours is not None) == (kind in ("item-item", "linear", "blend"))
    assert (model.spectrum is not None) == (kind == "blend")
    assert (model.blend is None) == (kind in ("als", "bpr"))
    assert model.factors.users.shape == (N_USERS, 4)
    assert model.factors.items.any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ranks_and_scores_alike_and_repeatably(kind: Kind, tmp_path: Path) -> None:
    train, _ = data()
    users = np.arange(N_USERS, dtype=np.int32)
    ranker, again = (ranker_of(fitted(kind, tmp_path), kind) for _ in range(2))
    assert ranker.name == kind
    assert isinstance(ranker, FactorRanker if kind in ("als", "bpr") else BlendRanker)
    ranked = ranker.rank(users, train, 5)
    np.testing.assert_array_equal(ranked, again.rank(users, train, 5))
    scores = ranker.score(users, np.maximum(ranked, 0))
    assert (scores[:, :-1] >= scores[:, 1:])[ranked[:, 1:] >= 0].all()
    assert not train.toarray()[users[:, None], ranked][ranked >= 0].any(), "nothing seen"


def test_popularity_ranks_as_the_baseline_does(tmp_path: Path) -> None:
    train, popularity = data()
    users = np.arange(N_USERS, dtype=np.int32)
    found = ranker_of(fitted("popularity", tmp_path), "x").rank(users, train, 5)
    np.testing.assert_array_equal(found, PopularityRanker(popularity).rank(users, train, 5))


def test_item_item_counts_cosines_unless_told_otherwise(tmp_path: Path) -> None:
    plain, bm25 = (
        fitted("item-item", tmp_path, more).neighbours for more in ("", '[neighbours]\nsimilarity = "bm25"\n')
    )
    assert plain is not None
    assert bm25 is not None
    assert 0 < plain.weights.min() <= plain.weights.max() <= 1, "cosines of distinct items; linear ones go below 0"
    assert bm25.weights.max() > 1


def test_what_no_weight_asks_for_is_not_fitted(tmp_path: Path) -> None:
    alone = BlendSpec(bounds=[], weights={"factors": [1], "neighbours": [0], "popularity": [0]})
    model = fitted("blend", tmp_path, blend=alone)
    assert model.neighbours is None
    assert model.spectrum is None


def test_factors_of_a_blend_may_be_those_of_bpr(tmp_path: Path) -> None:
    als, bpr = (fitted("blend", tmp_path, f'[blend]\nfactors = "{name}"\n') for name in ("als", "bpr"))
    assert not np.array_equal(als.factors.items, bpr.factors.items)
    np.testing.assert_array_equal(bpr.factors.items, fitted("bpr", tmp_path).factors.items)


@pytest.mark.parametrize(("kind", "blend"), [("blend", None), ("als", BLEND)])
def test_weights_are_for_blends(kind: Kind, blend: BlendSpec | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="weights are given for kind blend"):
        fitted(kind, tmp_path, blend=blend)
