"""One function per command: it prints what it found and what to do next, and returns the exit status."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from recsvc.bundle.errors import BundleError
from recsvc.bundle.manifest import GateResult, Manifest
from recsvc.bundle.reader import open_bundle
from recsvc.bundle.registry import Registry
from training import run
from training.compare import paired
from training.config import load_config
from training.curves import show_ageing, show_cold_start
from training.errors import ConfigInvalid, DataInvalid
from training.evaluate import format_table
from training.experiment import gate_against, measure, per_user
from training.in_use import versions_in_use
from training.options import names_a_source, plan_of, source_name, source_words
from training.plan import Places, Plan
from training.progress import Progress
from training.recommend import recommended_lines
from training.schedule import Rules, run_schedule
from training.sources.dataset import Dataset
from training.sources.erasure import tombstones_of
from training.sources.load import LOG
from training.sources.log import log_root, take_snapshot
from training.tuning.tune import Asked
from training.tuning.tune import tune as run_tuning

REFUSED = 1
_DEFAULT_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a command works, and whom it tells."""

    places: Places
    data_dir: Path
    progress: Progress

    @property
    def registry(self) -> Registry:
        """The registry of the models directory."""
        return Registry(self.places.models_dir)


def data(workspace: Workspace, options: Namespace) -> int:
    """Reads and checks the data set."""
    plan = plan_of(options, workspace.data_dir)
    dataset = _read(workspace, plan)
    events = dataset.events
    print(f"{dataset.name}: {len(events):,} events, {len(events.user_ids):,} users, {len(events.item_ids):,} items")
    if dataset.erased:
        print(f"left out {dataset.erased:,} events of users who were erased")
    if dataset.rejects.total:
        print(f"rejected {dataset.rejects.total:,} rows: {dataset.rejects.by_reason}; see {dataset.rejects.path}")
    print(f"next: make train {source_words(options)}")
    return 0


def train(workspace: Workspace, options: Namespace) -> int:
    """Publishes a version and shows how good it is."""
    trained = run.train(plan_of(options, workspace.data_dir), workspace.places, workspace.progress)
    _show(workspace, trained)
    force = "" if trained.gate.passed else " FORCE=1, if it is to replace the champion all the same"
    print(f"next: make promote VERSION={trained.version}{force}")
    return 0


def retrain(workspace: Workspace, options: Namespace) -> int:
    """Publishes a version and promotes it when the gate lets it pass."""
    trained = run.train(_retraining_plan(workspace, options), workspace.places, workspace.progress)
    _show(workspace, trained)
    if trained.gate.passed:
        workspace.registry.promote(trained.version)
    _expire(workspace)
    if not trained.gate.passed:
        print(f"not promoted; to promote it all the same: make promote VERSION={trained.version} FORCE=1")
        return REFUSED
    print(
        f"champion: {trained.version}\nnext: make serve (a running service takes it up by itself), "
        "or make compare A= B= with an earlier version"
    )
    return 0


def ensure(workspace: Workspace, options: Namespace) -> int:
    """Keeps a champion that can be opened; trains and promotes one otherwise."""
    champion = workspace.registry.champion()
    if champion is not None:
        try:
            open_bundle(workspace.registry.path(champion), _receipts(workspace))
        except BundleError as exc:
            print(f"the champion cannot be used ({exc}); training a new one")
        else:
            trained_on = workspace.registry.manifest(champion).data.name
            print(f"champion {champion} (trained on {trained_on}) is there: nothing to train")
            if names_a_source(options) and trained_on != source_name(options):
                print(f"to train on other data: make retrain {source_words(options)}")
            return 0
    return retrain(workspace, options)


def evaluate(workspace: Workspace, options: Namespace) -> int:
    """Measures a version's recipe again, on its own data set, against the baselines."""
    manifest = _version(workspace, options)
    plan = Plan.of(manifest, workspace.data_dir)
    dataset = _read(workspace, plan)
    if dataset.fingerprint != manifest.data.fingerprint:
        print(f"note: {plan.source.title} has changed since {manifest.version} was trained")
    measured = measure(dataset, plan.config, workspace.progress)
    print(f"{manifest.version} ({manifest.kind}) on {plan.source.title}, {measured.split.kind} split")
    for what, value in measured.split.notes.items():
        shown = datetime.fromtimestamp(value, UTC).isoformat() if "Unix" in what else f"{value:,.0f}"
        print(f"  {what.removesuffix(' (Unix seconds)')}: {shown}")
    print(format_table(measured.evaluation))
    if measured.learned is not None:
        print("\n".join(measured.learned.lines()))
    print(f"next: make promote VERSION={manifest.version}")
    return 0


def compare(workspace: Workspace, options: Namespace) -> int:
    """Refits both recipes on one split and compares them user by user."""
    manifests = [workspace.registry.manifest(version) for version in (options.a, options.b)]
    first, second = (Plan.of(manifest, workspace.data_dir) for manifest in manifests)
    if replace(first.source, with_log=False) != replace(second.source, with_log=False):
        raise ConfigInvalid(
            f"{options.a} was trained on {first.source.name}, {options.b} on {second.source.name}; "
            "two versions are compared on the data set they share"
        )
    source = replace(first.source, with_log=first.source.with_log or second.source.with_log)
    with workspace.progress.stage(f"reading {source.title}"):
        dataset = source.read(first.config, workspace.places.state_dir)
    metric = first.config.gate.metric
    a = per_user(dataset, first.config, first.config, metric, workspace.progress)
    b = per_user(dataset, second.config, first.config, metric, workspace.progress)
    print(f"{metric} over the same {len(a):,} users, recipes refitted on one split of {source.title}")
    print(f"  A {options.a}: {a.mean():.4f}\n  B {options.b}: {b.mean():.4f}")
    print(f"  {paired(a, b, seed=first.config.als.seed).words()}")
    return 0


def models(workspace: Workspace, options: Namespace) -> int:
    """Lists the registry."""
    champion = workspace.registry.champion()
    versions = workspace.registry.versions()
    if not versions:
        print("no model yet\nnext: make train")
        return 0
    print(f"  {'version':<25}{'kind':<12}{'data':<22}{'users':>9}{'items':>9}  {'factors':>7}  metrics of the model")
    for version in versions:
        mark = "*" if version == champion else " "
        try:
            print(f"{mark} {_model_line(workspace.registry.manifest(version))}")
        except BundleError as exc:
            print(f"{mark} {version:<25}cannot be read: {exc}")
    print("* the champion" if champion else "no champion yet; next: make promote VERSION=…")
    return 0


def recommend(workspace: Workspace, options: Namespace) -> int:
    """Prints a user's list from a model, without the service."""
    version = options.version or workspace.registry.champion()
    if version is None:
        raise ConfigInvalid("there is no champion; next: make train promote, or name one with VERSION=")
    bundle = open_bundle(workspace.registry.path(version), _receipts(workspace))
    tombstones = tombstones_of(workspace.places.state_dir)
    for line in recommended_lines(bundle, options.user, options.limit, tombstones):
        print(line)
    return 0


def prune(workspace: Workspace, options: Namespace) -> int:
    """Removes old versions."""
    in_use = versions_in_use(workspace.places.state_dir)
    removed = workspace.registry.prune(options.keep, in_use)
    print("\n".join(f"removed {version}" for version in removed) or "nothing to remove")
    for version in workspace.registry.versions()[options.keep :]:
        if version in in_use:
            print(f"kept {version}: experiment {in_use[version]} is running with it")
    return 0


def promote(workspace: Workspace, options: Namespace) -> int:
    """Promotes a version that the gate lets pass against today's champion."""
    registry = workspace.registry
    versions = registry.versions()
    version = options.version or (versions[0] if versions else None)
    if version is None:
        raise ConfigInvalid("there is no model to promote; next: make train")
    manifest = registry.manifest(version)
    open_bundle(registry.path(version), _receipts(workspace), full=True)
    if not options.force:
        verdict = _verdict(workspace, manifest)
        print(verdict.message)
        if not verdict.passed:
            print(f"not promoted; to promote it all the same: make promote VERSION={version} FORCE=1")
            return REFUSED
    registry.promote(version)
    print(f"champion: {version}\nnext: make serve (a running service takes it up by itself), or make rollback")
    return 0


def rollback(workspace: Workspace, options: Namespace) -> int:
    """Returns to the champion before the latest promotion, once its bundle is found whole."""
    target = workspace.registry.rollback_target()
    open_bundle(workspace.registry.path(target), _receipts(workspace), full=True)
    print(f"champion: {workspace.registry.rollback(target)}\na running service takes it up by itself")
    return 0


def schedule(workspace: Workspace, options: Namespace) -> int:
    """Retrains whenever it is time, until it is stopped."""
    hours, events = options.every_hours, options.every_events
    rules = Rules(_DEFAULT_HOURS if hours is None and events is None else hours, events)
    places = workspace.places
    directories = ("--models-dir", places.models_dir, "--state-dir", places.state_dir, "--data-dir", workspace.data_dir)
    command = [sys.executable, "-m", "training", *map(str, directories), "--quiet", "retrain"]
    try:
        run_schedule(places, rules, command, options.look_every_seconds)
    except KeyboardInterrupt:
        print("the schedule has ended")
    return 0


def reaction(workspace: Workspace, options: Namespace) -> int:
    """Shows how good lists are for users whom the model never saw, and how well new items are placed."""
    plan = plan_of(options, workspace.data_dir)
    dataset = _read(workspace, plan)
    print("\n".join(show_cold_start(dataset, plan.config, workspace.places.state_dir, workspace.progress)))
    return 0


def tune(workspace: Workspace, options: Namespace) -> int:
    """Searches better settings on a validation part of the training part, and writes them down."""
    plan = plan_of(options, workspace.data_dir)
    asked = Asked(options.minutes, options.trials, options.max_factors)
    tuned = run_tuning(plan, workspace.places, asked, workspace.progress)
    print(tuned.table)
    print(f"report: {tuned.report}")
    options.config = tuned.settings
    print(f"next: make train {source_words(options)}")
    return 0


def ageing(workspace: Workspace, options: Namespace) -> int:
    """Shows how good the settings are at several moments, and what a week without retraining costs."""
    plan = plan_of(options, workspace.data_dir)
    dataset, config = _read(workspace, plan), plan.config
    if options.weeks:
        config = config.model_copy(update={"ageing": config.ageing.model_copy(update={"weeks": options.weeks})})
    print("\n".join(show_ageing(dataset, config, workspace.places.state_dir, workspace.progress)))
    return 0


def _read(workspace: Workspace, plan: Plan) -> Dataset:
    with workspace.progress.stage(f"reading {plan.source.title}"):
        return plan.source.read(plan.config, workspace.places.state_dir)


def _verdict(workspace: Workspace, manifest: Manifest) -> GateResult:
    champion = run.champion_manifest(workspace.registry, workspace.progress)
    if champion is not None and champion.version == manifest.version:
        return manifest.gate.model_copy(update={"passed": True, "message": f"{champion.version} is the champion"})
    if manifest.gate.champion == (champion.version if champion else None):
        return manifest.gate
    plan = Plan.of(manifest, workspace.data_dir)
    champion_plan = Plan.of(champion, workspace.data_dir) if champion else None
    dataset = plan.source.read(plan.config, workspace.places.state_dir)
    candidate = per_user(dataset, plan.config, plan.config, plan.config.gate.metric, workspace.progress)
    return gate_against(champion, dataset, plan.config, candidate, champion_plan, workspace.progress)


def _retraining_plan(workspace: Workspace, options: Namespace) -> Plan:
    """What was asked for; else what the champion was made of, and its settings, with the event log when that has rows.

    A champion that cannot be read is trained anew from the default source.
    """
    if names_a_source(options):
        return plan_of(options, workspace.data_dir)
    champion = run.champion_manifest(workspace.registry, workspace.progress)
    plan = plan_of(options, workspace.data_dir) if champion is None else Plan.of(champion, workspace.data_dir)
    if options.config:
        plan = replace(plan, config=load_config(plan.source.name, options.config))
    has_rows = take_snapshot(log_root(workspace.places.state_dir)).rows > 0
    return replace(plan, source=replace(plan.source, with_log=has_rows and plan.source.name != LOG))


def _expire(workspace: Workspace) -> None:
    removed = workspace.registry.expire(tombstones_of(workspace.places.state_dir), time.time())
    if removed:
        print(f"removed, because they know users erased more than 30 days ago: {', '.join(removed)}")


def _version(workspace: Workspace, options: Namespace) -> Manifest:
    if options.version:
        return workspace.registry.manifest(options.version)
    name = source_name(options)
    for version in workspace.registry.versions():
        manifest = workspace.registry.manifest(version)
        if manifest.recipe["source"]["name"] == name:
            return manifest
    raise DataInvalid(f"no version was trained on {name} yet; next: make train {source_words(options)}")


def _show(workspace: Workspace, trained: run.Trained) -> None:
    print(format_table(trained.evaluation))
    if trained.cold_start is not None:
        print(trained.cold_start.words())
    print(trained.gate.message)
    print(f"version: {trained.version}")
    print(f"report: {workspace.places.models_dir / trained.version / 'report.html'}")


def _model_line(manifest: Manifest) -> str:
    metrics = manifest.metrics.get(manifest.kind, {})
    shown = "  ".join(f"{name} {metrics[name]:.4f}" for name in ("recall@20", "ndcg@10") if name in metrics)
    refused = "" if manifest.gate.passed else "  (the gate refused it)"
    return (
        f"{manifest.version:<25}{manifest.kind:<12}{manifest.data.name[-21:]:<22}{manifest.n_users:>9,}"
        f"{manifest.n_items:>9,}  {manifest.n_factors:>7}  {shown}{refused}"
    )


def _receipts(workspace: Workspace) -> Path:
    return workspace.places.state_dir / "receipts"
