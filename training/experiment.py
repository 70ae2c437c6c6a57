"""Fitting a recipe on a training split and measuring it there: what train, evaluate, compare and the gate share."""

from __future__ import annotations

from recsvc.bundle.manifest import GateResult, Manifest
from recsvc.bundle.types import Float32
from training.als import fit_als
from training.beyond import category_shares
from training.compare import gate
from training.config import RunConfig
from training.evaluate import Evaluation, evaluate
from training.plan import Plan
from training.progress import Progress
from training.rankers import FactorRanker, ItemItemRanker, PopularityRanker, Ranker
from training.sources.dataset import Dataset
from training.split import Split, make_split

MODEL = "als"


def fitted_ranker(name: str, split: Split, config: RunConfig, progress: Progress) -> FactorRanker:
    """ALS fitted on the training part, as something that ranks."""
    factors = fit_als(split.train, config.als, progress=None if progress.quiet else name)
    return FactorRanker(name, factors.users, factors.items)


def measure(dataset: Dataset, config: RunConfig, progress: Progress) -> tuple[Split, Evaluation]:
    """Splits, fits and evaluates a recipe against popularity and item-item neighbours."""
    split = make_split(dataset, config.split, config.interactions.recipe())
    with progress.stage("fitting on the training part"):
        model = fitted_ranker(MODEL, split, config, progress)
    rankers: list[Ranker] = [
        model,
        ItemItemRanker(split.train, neighbours=config.evaluation.neighbours),
        PopularityRanker(split.popularity),
    ]
    with progress.stage(f"evaluating ({split.kind} split)"):
        evaluation = evaluate(
            rankers, split, seed=config.als.seed, categories=category_shares(dataset.items.categories)
        )
    return split, evaluation


def per_user(dataset: Dataset, config: RunConfig, judged_by: RunConfig, metric: str, progress: Progress) -> Float32:
    """One metric per test user for a recipe fitted on the split that `judged_by` defines; float32 (m,).

    The weights and decay are the recipe's own; who is tested on what is `judged_by`'s, so that two recipes meet
    the same users and the same held-out items.
    """
    own = make_split(dataset, judged_by.split, config.interactions.recipe())
    common = make_split(dataset, judged_by.split, judged_by.interactions.recipe())
    split = Split(
        kind=common.kind,
        train=own.train,
        seen=common.seen,
        test=common.test,
        popularity=common.popularity,
        candidates=None,
        notes=common.notes,
    )
    evaluation = evaluate([fitted_ranker(MODEL, split, config, progress)], split, seed=judged_by.als.seed)
    return evaluation.per_user[MODEL][metric]


def gate_against(
    champion: Manifest | None,
    dataset: Dataset,
    config: RunConfig,
    candidate: Float32,
    plan: Plan | None,
    progress: Progress,
) -> GateResult:
    """Compares a candidate with the champion's recipe refitted on the candidate's training split.

    `candidate` float32 (m,), the gate's metric per test user. The champion's stored factors are not used: they may
    have seen the test part.
    """
    metric = config.gate.metric
    if champion is None or plan is None:
        return gate(candidate, None, champion=None, metric=metric, tolerance=config.gate.tolerance)
    with progress.stage(f"gate: refitting the recipe of the champion {champion.version}"):
        same = plan.config == config
        refitted = candidate if same else per_user(dataset, plan.config, config, metric, progress)
    return gate(candidate, refitted, champion=champion.version, metric=metric, tolerance=config.gate.tolerance)
