"""`make tune`, from events to the best settings found on the validation part, and a page about it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from training.config import RunConfig, load_config
from training.errors import ConfigInvalid, DataInvalid
from training.plan import Places, Plan
from training.progress import Progress
from training.tuning.interrupts import noticed_interrupts
from training.tuning.report import TuningReport, table
from training.tuning.settings_file import settings_text, write_whole
from training.tuning.space import Space, als_space
from training.tuning.study import (
    DEFAULTS,
    Limits,
    complete,
    config_of,
    counted,
    resumed_line,
    run_trials,
    study_at,
    study_path,
    value_of,
)
from training.tuning.trial import Validation
from training.validation import training_part


@dataclass(frozen=True, slots=True)
class Asked:
    """`minutes` for this run; `trials` in all, those of earlier runs included; no more than `most_factors`."""

    minutes: float
    trials: int
    most_factors: int


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was found: a `table` for the terminal and two files."""

    table: str
    settings: Path
    report: Path


def tune(plan: Plan, places: Places, asked: Asked, progress: Progress) -> Tuned:
    """Searches settings on a validation part of the training part; resumes an earlier search of the same.

    Writes `best.toml` and `report.html` below `tune/` of the state directory. Ctrl-C ends the search, not the report.
    Raises TrainingError; ConfigInvalid for a kind of model without ALS factors, DataInvalid when no trial came to its
    end.
    """
    deadline = time.monotonic() + asked.minutes * 60
    _check_kind(plan.config, progress)
    with progress.stage(f"reading {plan.source.title}"):
        # Nothing below sees the whole data set: what is tuned on has no test event in it.
        part = training_part(plan.source.read(plan.config, places.state_dir), plan.config)
    space = als_space(plan.config, has_time=part.events.has_time, most_factors=asked.most_factors)
    validation = Validation(part, plan.config)
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in plan.source.name)[-80:]
    folder = places.state_dir / "tune"
    with study_at(study_path(folder, name, part.fingerprint, space), plan.config.als.seed) as study:
        if line := resumed_line(study):
            progress.say(line)
        if len(counted(study)) >= asked.trials:
            progress.say(f"that is all that was asked for ({asked.trials} in all); raise TRIALS= to go on")
        try:
            stage = progress.stage(f"trying settings: {asked.trials} trials in all, at most {asked.minutes:g} minutes")
            with stage, noticed_interrupts() as interrupted:
                run_trials(study, space, validation, Limits(asked.trials, deadline), progress.say, interrupted)
        except KeyboardInterrupt:
            progress.say(f"interrupted; trials that ended are kept ({len(counted(study))}), the same command goes on")
        return _written(plan, folder / name, study, space, validation)


def _check_kind(config: RunConfig, progress: Progress) -> None:
    kind = config.model.kind
    if kind not in ("als", "blend") or config.factors_kind != "als":
        raise ConfigInvalid(
            f"model.kind = {kind}: make tune searches the settings of ALS, alone or as a part of a blend whose "
            'blend.factors are "als"; set them in the settings (CONFIG=)'
        )
    if kind == "blend":
        progress.say("of the blend the factors are tuned, as a model of their own; its weights are learnt at training")


def _written(plan: Plan, folder: Path, study: optuna.Study, space: Space, validation: Validation) -> Tuned:
    trials = complete(study)
    if not trials:
        raise DataInvalid(
            f"{plan.source.title}: no trial came to its end, so there is nothing to write; run it again, with more "
            "time (MINUTES=) unless it was broken off"
        )
    best = trials[0]
    defaults = next((trial for trial in trials if DEFAULTS in trial.user_attrs), None)
    split = validation.split(plan.config)
    report = TuningReport(
        name=plan.source.title,
        study=study,
        space=space,
        kind=split.kind,
        n_users=len(validation.users(split)),
        defaults=defaults,
        best=best,
    )
    settings = folder / "best.toml"
    write_whole(settings, _best_text(plan, study, best))
    page = folder / "report.html"
    write_whole(page, report.html())
    return Tuned(table(best, defaults, plan.config), settings, page)


def _best_text(plan: Plan, study: optuna.Study, best: FrozenTrial) -> str:
    config: RunConfig = config_of(best, plan.config)
    comments = [
        f"The best of {len(counted(study))} trials on {plan.source.title}, by make tune: {config.gate.metric} "
        f"{value_of(best):.4f} on the validation part",
        "of the training part. The test part was not used.",
    ]
    return settings_text(config, load_config(plan.source.name, None), comments)
