"""The page about a study: what was tried, what mattered, and what accuracy costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from training.config import RunConfig
from training.report.page import template_of
from training.tuning import plots
from training.tuning.space import LABELS, RANK, Space, settings_shown
from training.tuning.study import complete, config_of, counted, value_of

_LEAST_TRIALS: Final = 10
"""Complete trials below which nothing is said of importance."""
_COLUMNS: Final = ("factors", "λ", "ν", "epochs", "α₀", "half-life")
"""Of `settings_shown`, short enough for a table."""


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What the page is about: `name` of the data, the study and its space, how the validation part was held out
    (`kind`) and how many users it measures, and the two sets of settings, each with its validation metrics."""

    name: str
    study: optuna.Study
    space: Space
    kind: str
    n_users: int
    defaults: FrozenTrial | None
    best: FrozenTrial

    def html(self) -> str:
        """The page: no script, no network. The study has a complete trial."""
        template = template_of("tuning.html", "training.tuning")
        metric = self.space.base.gate.metric
        trials = counted(self.study)
        return template.render(
            name=self.name,
            metric=metric,
            kind=self.kind,
            n_users=self.n_users,
            n_trials=len(trials),
            n_pruned=sum(trial.state == TrialState.PRUNED for trial in trials),
            n_failed=sum(trial.state == TrialState.FAIL for trial in trials),
            compared=self._compared(),
            figures=self._figures(metric),
            settings=self._settings(metric),
            columns=_COLUMNS,
            rows=[self._row(trial) for trial in complete(self.study)],
            failures=[(trial.number, trial.user_attrs["why"]) for trial in trials if trial.state == TrialState.FAIL],
        )

    def _compared(self) -> list[tuple[str, str, str, bool]]:
        """Each setting and metric begun with beside that of the best; whether it changed, or became better."""
        best, first = self.best, self.defaults
        base = self.space.base
        before = settings_shown(base if first is None else config_of(first, base))
        after = settings_shown(config_of(best, base))
        rows = [(name, f"{old:g}", f"{after[name]:g}", old != after[name]) for name, old in before.items()]
        for name, value in best.user_attrs["metrics"].items():
            old = 0.0 if first is None else first.user_attrs["metrics"][name]
            rows.append((name, "–" if first is None else f"{old:.4f}", f"{value:.4f}", value > old))
        return rows

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        return {
            "number": trial.number,
            "value": value_of(trial),
            "settings": settings_shown(config_of(trial, self.space.base)),
            "miss_ms": trial.user_attrs["miss_ms"],
            "megabytes": trial.user_attrs["factor_bytes"] / 1e6,
            "seconds": trial.user_attrs["seconds"],
            "is_best": trial.number == self.best.number,
            "is_default": self.defaults is not None and trial.number == self.defaults.number,
        }

    def _figures(self, metric: str) -> list[tuple[str, str, str]]:
        trials = sorted(complete(self.study), key=lambda trial: trial.number)
        values = [value_of(trial) for trial in trials]
        megabytes = [trial.user_attrs["factor_bytes"] / 1e6 for trial in trials]
        figures = [
            (
                "Accuracy against the time of a miss",
                "Folding a user in and an exact search for 100 items, the median over 50 users, one thread of this "
                "machine. No trial is both faster and better than one on the line.",
                plots.front(
                    "latency", [trial.user_attrs["miss_ms"] for trial in trials], values, "milliseconds", metric
                ),
            ),
            (
                "Accuracy against size",
                "Megabytes of user and item factors.",
                plots.front("size", megabytes, values, "megabytes", metric),
            ),
            (
                "Trials",
                "Those that were measured to their end.",
                plots.history(dict(zip([trial.number for trial in trials], values, strict=True)), metric),
            ),
        ]
        if importance := importance_of(self.study):
            figures.append(
                (
                    "What mattered",
                    "PED-ANOVA (Watanabe et al., IJCAI 2023): how far the best quarter of the trials differs from the "
                    "others in each parameter, as a share.",
                    plots.importance_bars(importance),
                )
            )
        return figures

    def _settings(self, metric: str) -> str:
        trials = complete(self.study)
        shown: dict[str, list[float]] = {}
        logarithmic = [RANK]
        for name, distribution in self.space.distributions.items():
            label = LABELS.get(name, name)
            if isinstance(distribution, FloatDistribution) and distribution.log:
                logarithmic.append(label)
            settings = [settings_shown(config_of(trial, self.space.base)) for trial in trials]
            shown[label] = [one.get(name, trial.params[name]) for one, trial in zip(settings, trials, strict=True)]
        return plots.settings(shown, logarithmic, [value_of(trial) for trial in trials], metric)


def importance_of(study: optuna.Study) -> dict[str, float]:
    """The share of each parameter in what makes a trial good, the largest first; empty where trials are too few or all
    the same."""
    values = {trial.value for trial in complete(study)}
    if len(complete(study)) < _LEAST_TRIALS or len(values) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {LABELS.get(name, name): share for name, share in shares.items()}


def table(best: FrozenTrial, defaults: FrozenTrial | None, base: RunConfig) -> str:
    """The best settings and metrics beside those tuning began with, as plain text; ends without a newline."""
    before = settings_shown(base if defaults is None else config_of(defaults, base))
    lines = [f"{'':<34}{'begun with':>12}{'best':>12}"]
    for name, value in settings_shown(config_of(best, base)).items():
        lines.append(f"{name:<34}{before[name]:>12g}{value:>12g}")
    for name, value in best.user_attrs["metrics"].items():
        old = "–" if defaults is None else f"{defaults.user_attrs['metrics'][name]:.4f}"
        lines.append(f"{name:<34}{old:>12}{value:>12.4f}")
    return "\n".join(lines)
