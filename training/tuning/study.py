"""The study on disk: trials that were finished stay, whatever ends the process; the one that ran is tried again."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from training.config import RunConfig
from training.errors import ConfigInvalid, DataInvalid
from training.size import sized
from training.tuning.space import Space
from training.tuning.trial import Measured, Validation

_STARTUP_TRIALS: Final = 8
_WARM_UP_EPOCHS: Final = 2
_SECONDS_PER_MINUTE: Final = 60.0
_FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_WHY: Final = "why"
"""Of a trial that failed by its settings. A failed trial without it was broken off from outside and does not count."""
DEFAULTS: Final = "defaults"
"""The mark of the trial that has the settings tuning began with."""


class OutOfTimeError(Exception):
    """The time was up within a trial."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`trials` in all, those of earlier runs included; `deadline` of this run on the monotonic clock, seconds."""

    trials: int
    deadline: float

    @property
    def seconds_left(self) -> float:
        """Until the deadline; 0 after it."""
        return max(self.deadline - time.monotonic(), 0.0)


@contextmanager
def study_at(path: Path, seed: int) -> Iterator[optuna.Study]:
    """The study in the SQLite file `path`, made where there is none, with what a killed run left put in order.

    Raises ConfigInvalid while another process works on it, and when the file is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with path.with_suffix(".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigInvalid(f"{path}: another run is tuning this; wait until it has ended, or stop it") from None
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")
            study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
            _put_in_order(study)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as exc:
            cause = str(getattr(exc, "orig", None) or exc).splitlines()[0]
            raise ConfigInvalid(f"{path}: cannot be used ({cause}); move it away to begin anew") from exc
        try:
            # A resumed run must not draw again what the first run drew: the seed goes on with the trials.
            study.sampler = optuna.samplers.TPESampler(
                seed=(seed + len(study.trials)) % 2**32, n_startup_trials=_STARTUP_TRIALS
            )
            study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=_WARM_UP_EPOCHS)
            yield study
        finally:
            storage.engine.dispose()


def study_path(folder: Path, name: str, fingerprint: str, space: Space) -> Path:
    """`<name>-<digest>.db`: the digest is of the data, of the settings that tuning begins with, and of the space."""
    told = f"{fingerprint}\n{space.base.model_dump_json()}\n{space.words()}"
    return folder / f"{name}-{hashlib.sha256(told.encode('utf-8')).hexdigest()[:12]}.db"


def run_trials(
    study: optuna.Study,
    space: Space,
    validation: Validation,
    limits: Limits,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
) -> None:
    """Tries proposals until a limit is reached. On KeyboardInterrupt the running trial is kept to be tried again.

    `interrupted` is asked after each epoch, for one that was lost on its way.
    """
    if not study.trials:
        _begin(study, space, validation)
    while len(counted(study)) < limits.trials and limits.seconds_left > 0:
        started = time.monotonic()
        trial = study.ask(space.distributions)
        try:
            measured = _tried(trial, space, validation, limits, interrupted)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except DataInvalid as exc:
            trial.set_user_attr(_WHY, str(exc))
            study.tell(trial, state=TrialState.FAIL)
        except (OutOfTimeError, KeyboardInterrupt) as exc:
            _give_back(study, trial.number)
            if isinstance(exc, KeyboardInterrupt):
                raise
            return
        else:
            for name, value in asdict(measured).items():
                trial.set_user_attr(name, value)
            trial.set_user_attr("seconds", round(time.monotonic() - started, 2))
            study.tell(trial, measured.metrics[space.base.gate.metric])
        say(_line(study, trial.number, limits))


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended by themselves, in order."""
    finished = study.get_trials(deepcopy=False, states=_FINISHED)
    return [trial for trial in finished if trial.state != TrialState.FAIL or _WHY in trial.user_attrs]


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have a value, the best first."""
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(found, key=lambda trial: (-value_of(trial), trial.number))


def resumed_line(study: optuna.Study) -> str | None:
    """What earlier runs left; None for a new study."""
    done = len(counted(study))
    if not done:
        return None
    best = complete(study)
    shown = f"best {value_of(best[0]):.4f} (trial {best[0].number})" if best else "none with a value"
    return f"resuming: {done} trial{'' if done == 1 else 's'} so far, {shown}"


def config_of(trial: FrozenTrial, base: RunConfig) -> RunConfig:
    """The settings that a complete trial had, with the number of epochs that was best."""
    tried = RunConfig.model_validate(trial.user_attrs["config"])
    als = tried.als.model_copy(update={"iterations": trial.user_attrs["epochs"], "patience": 0})
    # The seed and all that is not searched are the base's.
    return base.model_copy(update={"interactions": tried.interactions, "als": als})


def _tried(
    trial: Trial, space: Space, validation: Validation, limits: Limits, interrupted: Callable[[], bool]
) -> Measured:
    as_it_is = trial.user_attrs.get(DEFAULTS, False)
    config = space.base if as_it_is else space.weighted(trial.params)
    split = validation.split(config)
    if as_it_is:
        config = config.model_copy(update={"als": sized(config.als, split.train)})
    else:
        config = space.complete(trial.params, config, split.train)
    trial.set_user_attr("config", config.model_dump(mode="json"))

    def report(epoch: int, value: float) -> None:
        if interrupted():
            raise KeyboardInterrupt
        trial.report(value, epoch)
        if limits.seconds_left == 0:
            raise OutOfTimeError
        if not as_it_is and trial.should_prune():
            raise optuna.TrialPruned

    return validation.measure(split, config, report, early_stop=not as_it_is or config.als.patience > 0)


def _put_in_order(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        _give_back(study, trial.number)


def _begin(study: optuna.Study, space: Space, validation: Validation) -> None:
    """Queues the settings that tuning begins with, and what is known to be good elsewhere."""
    own = space.proposal_of(space.base, validation.split(space.base).train)
    study.enqueue_trial(own, user_attrs={DEFAULTS: True})
    for proposal in space.starts():
        study.enqueue_trial(proposal)


def _give_back(study: optuna.Study, number: int) -> None:
    """Ends a trial that was broken off, and queues its proposal."""
    broken = study.trials[number]
    kept = {DEFAULTS: True} if DEFAULTS in broken.user_attrs else {}
    if broken.params:
        study.enqueue_trial(broken.params, user_attrs=kept)
    study.tell(number, state=TrialState.FAIL)


def _line(study: optuna.Study, number: int, limits: Limits) -> str:
    trial = study.trials[number]
    done = counted(study)
    best = complete(study)
    seconds = [each.duration.total_seconds() for each in done if each.duration is not None]
    expected = (limits.trials - len(done)) * sum(seconds) / max(len(seconds), 1)
    left = min(expected, limits.seconds_left)
    outcome = {
        TrialState.COMPLETE: lambda: f"{value_of(trial):.4f} in {trial.user_attrs['epochs']} epochs",
        TrialState.PRUNED: lambda: f"given up after epoch {trial.last_step}",
        TrialState.FAIL: lambda: f"failed: {trial.user_attrs[_WHY]}",
    }[trial.state]()
    leader = f"best {value_of(best[0]):.4f} (trial {best[0].number})" if best else "no value yet"
    return (
        f"  trial {number} ({len(done)} of {limits.trials}): {outcome}; {leader}; "
        f"{left / _SECONDS_PER_MINUTE:.1f} minutes left at most"
    )


def value_of(trial: FrozenTrial) -> float:
    """The value of a complete trial."""
    assert trial.value is not None  # noqa: S101 - only complete trials are asked
    return trial.value
