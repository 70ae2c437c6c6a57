"""Fitting a recipe on a training split and measuring it there: what train, evaluate, compare and the gate share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recsvc.bundle.manifest import GateResult, Manifest
from recsvc.bundle.types import Float32
from training.beyond import category_shares
from training.blend import Learned, learn_blend
from training.compare import gate
from training.config import ModelConfig, RunConfig
from training.evaluate import Evaluation, evaluate
from training.fitted import fit_model, ranker_of
from training.plan import Plan
from training.progress import Progress
from training.rankers import ItemItemRanker, PopularityRanker, Ranker
from training.sources.dataset import Dataset
from training.split import Split, events_held_out, make_split, split_off


@dataclass(frozen=True, slots=True)
class Measured:
    """A recipe measured on its split; `learned` the weights of a blend, None of other kinds."""

    split: Split
    evaluation: Evaluation
    learned: Learned | None


def fitted_ranker(name: str, split: Split, config: RunConfig, progress: Progress) -> Ranker:
    """The kind of model that the settings name, fitted on the training part, as something that ranks.

    The weights of a blend are learnt inside the training part, so its split has to know its events. Raises DataInvalid
    as `fit_model`.
    """
    return _fitted(name, split, config, _learned(split, config, progress), progress)


def measure(dataset: Dataset, config: RunConfig, progress: Progress) -> Measured:
    """Splits, fits and evaluates a recipe against popularity, item-item neighbours, and ALS of the same settings.

    The model's name in the evaluation is its kind; a baseline of that name is left out.
    """
    split = make_split(dataset, config.split, config.interactions.recipe())
    kind = config.model.kind
    learned = _learned(split, config, progress)
    with progress.stage("fitting on the training part"):
        rankers = [_fitted(kind, split, config, learned, progress)]
        if kind != "als":
            plain = config.model_copy(update={"model": ModelConfig(kind="als")})
            rankers.append(_fitted("als", split, plain, None, progress))
    baselines: list[Ranker] = [
        ItemItemRanker(split.train, neighbours=config.evaluation.neighbours),
        PopularityRanker(split.popularity),
    ]
    rankers += [ranker for ranker in baselines if ranker.name != kind]
    with progress.stage(f"evaluating ({split.kind} split)"):
        evaluation = evaluate(
            rankers, split, seed=config.als.seed, categories=category_shares(dataset.items.categories)
        )
    return Measured(split, evaluation, learned)


def _learned(split: Split, config: RunConfig, progress: Progress) -> Learned | None:
    if config.model.kind != "blend":
        return None
    return learn_blend(split.training_events(), config, progress)


def _fitted(name: str, split: Split, config: RunConfig, learned: Learned | None, progress: Progress) -> Ranker:
    shown = None if progress.quiet else name
    blend = learned.blend if learned else None
    return ranker_of(fit_model(split.train, split.popularity, config, blend=blend, progress=shown), name)


def per_user(dataset: Dataset, config: RunConfig, judged_by: RunConfig, metric: str, progress: Progress) -> Float32:
    """One metric per test user for a recipe fitted on the split that `judged_by` defines; float32 (m,).

    The weights and decay are the recipe's own; who is tested on what is `judged_by`'s, so that two recipes meet
    the same users and the same held-out items.
    """
    common = make_split(dataset, judged_by.split, judged_by.interactions.recipe())
    # What is held out depends on the weights where it is each user's last positive item: the recipe trains on what
    # `judged_by` leaves it, never on what it is judged by.
    held_out = events_held_out(dataset, judged_by.split, judged_by.interactions.recipe())
    own = split_off(dataset, held_out, config.interactions.recipe(), common.kind)
    split = replace(common, train=own.train, popularity=own.popularity, candidates=None)
    kind = config.model.kind
    evaluation = evaluate([fitted_ranker(kind, split, config, progress)], split, seed=judged_by.als.seed)
    return evaluation.per_user[kind][metric]


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
