"""A training run, from events to a published bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed_version

import numpy as np

from recsvc.bundle.errors import BundleError
from recsvc.bundle.index import ItemIndex
from recsvc.bundle.manifest import (
    FORMAT_VERSION,
    DataSummary,
    FileEntry,
    GateResult,
    IndexSummary,
    Manifest,
)
from recsvc.bundle.registry import Registry
from recsvc.bundle.types import ContentMap, IdTable, Interactions
from recsvc.bundle.writer import Contents, new_version, write_bundle
from training.als import Factors
from training.blend import Learned
from training.catalogue import build_catalogue
from training.cold_start import ColdStart, Content, map_metadata
from training.config import RunConfig
from training.errors import DataInvalid
from training.evaluate import Evaluation
from training.experiment import gate_against, measure
from training.fitted import FittedModel, fit_model
from training.indexes.choose import choose_index
from training.matrix import Matrix, build_matrix, event_weights, popularity_of, trending_scores
from training.plan import Places, Plan
from training.progress import Progress
from training.report.examples import example_lists
from training.report.render import ReportInput, render
from training.sources.dataset import Dataset
from training.split import Split

_COLLAPSED = 1e-3
"""No item factor larger than that: the penalty outweighed the data, and every user vector is all but 0."""
VALIDATION = "validation"
"""In the manifest's metrics beside the models: of kind blend, measured inside the training part."""
_LIBRARIES = ("implicit", "faiss-cpu", "numpy", "scipy", "duckdb", "pyarrow")


@dataclass(frozen=True, slots=True)
class Trained:
    """A published version and what was measured of its recipe."""

    version: str
    evaluation: Evaluation
    gate: GateResult
    cold_start: ColdStart | None


@dataclass(frozen=True, slots=True)
class Fit:
    """The model refitted on everything; `learned` where the weights of a blend come from, None of other kinds."""

    as_of: float | None
    matrix: Matrix
    model: FittedModel
    learned: Learned | None = None

    @property
    def factors(self) -> Factors:
        """The model's factors: every kind has them."""
        return self.model.factors


def train(plan: Plan, places: Places, progress: Progress) -> Trained:
    """Reads, checks, splits, fits, evaluates, gates, refits on everything, maps metadata, indexes and publishes.

    Publishing does not promote. On any error nothing is left in the models directory. Raises TrainingError.
    """
    config = plan.config
    with progress.stage(f"reading {plan.source.title}"):
        dataset = plan.source.read(config, places.state_dir)
    progress.say(f"  {described(dataset)}")
    check_trainable(dataset, config)
    measured = measure(dataset, config, progress)
    candidate = measured.evaluation.per_user[config.model.kind][config.gate.metric]
    champion = champion_manifest(Registry(places.models_dir), progress)
    champion_plan = Plan.of(champion, plan.source.data_dir) if champion else None
    verdict = gate_against(champion, dataset, config, candidate, champion_plan, progress)
    with progress.stage("fitting on everything"):
        fit = fit_everything(dataset, config, progress, learned=measured.learned)
    with progress.stage("mapping what is known of items to factors"):
        content = map_metadata(dataset.items, fit.matrix.training, fit.factors.items, measured.split.train, config)
    with progress.stage("building the index and publishing"):
        version = publish(
            plan, places, dataset, fit, measured.split, measured.evaluation, verdict, progress, content=content
        )
    return Trained(version, measured.evaluation, verdict, None if content is None else content.cold_start)


def check_trainable(dataset: Dataset, config: RunConfig) -> None:
    """Raises DataInvalid when the events cannot make a model: one user, one item, nothing positive."""
    events = dataset.events
    positive = event_weights(events, config.interactions.recipe()) > 0
    for what, rows in (("user", events.users[positive]), ("item", events.items[positive])):
        found = len(np.unique(rows))
        if found < 2:
            raise DataInvalid(
                f"{dataset.name}: {found} {what}{'s' if found != 1 else ''} with a positive interaction; a model "
                f"needs at least 2: give more events, or check the event types and interactions.event_weights"
            )


def champion_manifest(registry: Registry, progress: Progress) -> Manifest | None:
    """The champion's manifest; None when there is none, or when it can no longer be read (which is said)."""
    version = registry.champion()
    if version is None:
        return None
    try:
        return registry.manifest(version)
    except BundleError as exc:
        progress.say(f"  the champion cannot be compared with: {exc}")
        return None


def fit_everything(dataset: Dataset, config: RunConfig, progress: Progress, *, learned: Learned | None = None) -> Fit:
    """Refits on all events, decayed to the last of them, ending with an exact user half-step.

    `learned` the weights of a blend, which needs them, and no other kind.
    """
    events = dataset.events
    as_of = float(events.timestamps.max()) if events.has_time else None
    matrix = build_matrix(events, config.interactions.recipe(), as_of)
    model = fit_model(
        matrix.training,
        popularity_of(matrix, events, config.interactions.recipe(), as_of),
        config,
        blend=learned.blend if learned else None,
        progress=None if progress.quiet else config.model.kind,
    )
    if float(np.abs(model.factors.items).max()) < _COLLAPSED:
        progress.say(
            f"  warning: all factors are next to 0, so no list will be personal: als.regularization = "
            f"{config.als.regularization:g} is too high for this much data; lower it in the settings (CONFIG=)"
        )
    return Fit(as_of, matrix, model, learned)


def publish(
    plan: Plan,
    places: Places,
    dataset: Dataset,
    fit: Fit,
    split: Split | None,
    evaluation: Evaluation | None,
    verdict: GateResult,
    progress: Progress,
    *,
    content: Content | None = None,
) -> str:
    """Builds the index, measures it, renders the report and writes the bundle; returns the version."""
    config = plan.config
    factors = fit.factors
    index, summary = choose_index(factors.items, factors.users, config.index, progress, seed=config.als.seed)
    version = new_version()
    contents = _contents(dataset, fit, index, config, None if content is None else content.map)
    report = None
    if split is not None and evaluation is not None:
        report = render(
            ReportInput(
                version=version,
                plan=plan.recorded(),
                data=data_summary(dataset, fit),
                rejects=dataset.rejects,
                split=split,
                evaluation=evaluation,
                gate=verdict,
                index=summary,
                seconds=dict(progress.seconds),
                popularity=contents.popularity,
                examples=example_lists(contents, fit.model.blend),
                cold_start=None if content is None else content.cold_start.words(),
                blend=None if fit.learned is None else fit.learned.head(),
                blend_groups=() if fit.learned is None else fit.learned.group_lines(),
            )
        )

    def describe(files: dict[str, FileEntry]) -> Manifest:
        return make_manifest(version, plan, dataset, fit, evaluation, verdict, summary, files, content)

    write_bundle(places.models_dir, replace(contents, report=report), describe)
    return version


def _contents(dataset: Dataset, fit: Fit, index: ItemIndex, config: RunConfig, content: ContentMap | None) -> Contents:
    events, confidence = dataset.events, fit.matrix.confidence
    recipe = config.interactions.recipe()
    short, long = config.trending.short_half_life_days, config.trending.long_half_life_days
    return Contents(
        users=IdTable.of(events.user_ids),
        items=IdTable.of(events.item_ids),
        user_factors=fit.factors.users,
        item_factors=fit.factors.items,
        gram=fit.factors.gram,
        interactions=Interactions(
            confidence.indptr.astype(np.int64), confidence.indices.astype(np.int32), confidence.data
        ),
        popularity=fit.model.popularity,
        trending=trending_scores(events, recipe, fit.as_of, short, long),
        catalogue=build_catalogue(dataset.items),
        index=index,
        content=content,
        neighbours=fit.model.neighbours,
        spectrum=fit.model.spectrum,
    )


def make_manifest(
    version: str,
    plan: Plan,
    dataset: Dataset,
    fit: Fit,
    evaluation: Evaluation | None,
    verdict: GateResult,
    index: IndexSummary,
    files: dict[str, FileEntry],
    content: Content | None,
) -> Manifest:
    """The manifest of a bundle whose files are written."""
    n_users, n_factors = fit.factors.users.shape
    return Manifest(
        format_version=FORMAT_VERSION,
        kind=fit.model.kind,
        version=version,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        as_of=fit.as_of,
        n_users=n_users,
        n_items=len(fit.factors.items),
        n_factors=n_factors,
        objective=plan.config.objective(),
        recipe=plan.recorded(),
        data=data_summary(dataset, fit),
        metrics=_metrics(fit, evaluation),
        gate=verdict,
        index=index,
        libraries={name: installed_version(name) for name in _LIBRARIES},
        files=files,
        log_ends=dataset.log_ends,
        erasures_applied_at=dataset.erasures_applied_at,
        content=None if content is None else content.summary,
        blend=fit.model.blend,
    )


def _metrics(fit: Fit, evaluation: Evaluation | None) -> dict[str, dict[str, float]]:
    """By model, and under `validation` what the weights of a blend gave where they were chosen."""
    measured = {} if evaluation is None else evaluation.means()
    return measured if fit.learned is None or not fit.learned.groups else measured | {VALIDATION: fit.learned.metrics()}


def data_summary(dataset: Dataset, fit: Fit) -> DataSummary:
    """What the model was trained on."""
    events = dataset.events
    first, last = (
        (_rfc3339(float(events.timestamps.min())), _rfc3339(float(events.timestamps.max())))
        if events.has_time
        else (None, None)
    )
    return DataSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        events=len(events),
        rejected=dataset.rejects.total,
        interactions=int(fit.matrix.confidence.nnz),
        first_event=first,
        last_event=last,
        erased=dataset.erased,
    )


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def described(dataset: Dataset) -> str:
    """What was read, in a line."""
    events, rejects = dataset.events, dataset.rejects
    line = f"{len(events):,} events, {len(events.user_ids):,} users, {len(events.item_ids):,} items"
    if dataset.log_events and dataset.log_events < len(events):
        line = f"{dataset.name.removesuffix(' + log')} + {dataset.log_events:,} events of the log: {line}"
    if dataset.erased:
        line += f"; {dataset.erased:,} events of erased users left out"
    if rejects.total:
        line += f"; {rejects.total:,} rows rejected, see {rejects.path}"
    return line
