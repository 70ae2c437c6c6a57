"""The curves as people see them: tables for the terminal, a page and plots in the state directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from training.ageing import Ageing, measure_ageing
from training.compare import PairedComparison
from training.config import RunConfig
from training.new_items import NewItems, measure_new_items
from training.progress import Progress
from training.reaction import Reaction, measure_reaction
from training.report.curves import Curve, Plot, Section, curves_plot, write_page
from training.sources.dataset import Dataset
from training.split import make_split

_BAND = "the band is the 95% interval of the difference, laid around the model"


def show_cold_start(dataset: Dataset, config: RunConfig, state_dir: Path, progress: Progress) -> list[str]:
    """Measures new users, and new items where there is metadata; writes the page; returns what is to be printed."""
    sections = [new_users_section(measure_reaction(dataset, config, progress))]
    train = make_split(dataset, config.split, config.interactions.recipe()).train
    with progress.stage("new items, and the feedback of their first users"):
        new_items = measure_new_items(train, dataset.items, config)
    if new_items is not None:
        sections.append(new_items_section(new_items))
    return _shown(dataset, state_dir, "cold-start", f"Newcomers of {dataset.name}", sections)


def new_users_section(found: Reaction) -> Section:
    """Users whom the model never saw, by the number of their events."""
    return Section(
        title=f"{found.name}: {found.n_users:,} users, each held out entirely from the fit that ranks for them",
        words=["NDCG@10 of the items after their tenth event; after no event everybody gets what is popular."],
        columns=["events folded in", "popularity", "model", "difference", "95% interval", "better / worse for"],
        rows=_rows(found.steps),
        plots=[_plot("new-users", found.steps, "popularity", "events of the user folded in")],
    )


def new_items_section(found: NewItems) -> Section:
    """Items that nobody had met, by the number of users whose feedback they have."""
    return Section(
        title=f"{found.n_items:,} new items, and the {found.n_users:,} users who are to find theirs among them",
        words=[f"NDCG@10; after no feedback by metadata alone. A random order reaches {found.chance:.4f}."],
        columns=["users' feedback", "category popularity", "model", "difference", "95% interval", "better / worse for"],
        rows=_rows(found.steps),
        plots=[_plot("new-items", found.steps, "category popularity", "users whose feedback the item has")],
    )


def show_ageing(dataset: Dataset, config: RunConfig, state_dir: Path, progress: Progress) -> list[str]:
    """Measures a recipe over time and how its models age; writes the page; returns what is to be printed."""
    found = measure_ageing(dataset, config, progress)
    sections = [rolling_section(found)]
    if found.aged:
        sections.append(ageing_section(found))
    return _shown(dataset, state_dir, "ageing", f"{dataset.name} over time", sections)


def rolling_section(found: Ageing) -> Section:
    """The week after each cut, the model beside its baselines."""
    models = list(found.cuts[0].means)
    shown = [(metric, model) for metric in ("ndcg@10", "recall@20") for model in models]
    values = np.array([[cut.means[model][metric] for metric, model in shown] for cut in found.cuts])
    rows = [
        [_day(cut.at), f"{cut.n_users:,}", *(f"{value:.4f}" for value in line)]
        for cut, line in zip(found.cuts, values, strict=True)
    ]
    rows.append(["mean", "", *(f"{value:.4f}" for value in values.mean(axis=0))])
    if len(found.cuts) > 1:
        rows.append(["standard deviation", "", *(f"{value:.4f}" for value in values.std(axis=0, ddof=1))])
    curves = [Curve(model, [cut.means[model]["ndcg@10"] for cut in found.cuts]) for model in models]
    days = [datetime.fromtimestamp(cut.at, UTC).strftime("%-d %b") for cut in found.cuts]
    return Section(
        title=f"{found.name}: trained to each day, tested on the week after it",
        words=[
            f"{models[0]} minus {name}, NDCG@10 over the users of all weeks: {step.difference:+.4f}, "
            f"95% interval {interval_words(step)}."
            for name, step in found.against.items()
        ],
        columns=["trained to", "users", *(f"{metric} {model}" for metric, model in shown)],
        rows=rows,
        plots=[
            Plot(
                "rolling",
                "NDCG@10 of the week after each day, by what was trained up to it.",
                curves_plot("rolling", days, curves, ("trained to", "NDCG@10")),
            )
        ],
    )


def ageing_section(found: Ageing) -> Section:
    """What a model loses against one that is retrained every week."""
    rows = []
    for week, aged in found.aged.items():
        for what, step in (("all", aged.everything), ("known to the older", aged.known)):
            rows.append(
                [
                    *(
                        str(week),
                        what,
                        str(aged.n_cuts),
                        f"{step.n_users:,}",
                        f"{step.mean_a:.4f}",
                        f"{step.mean_b:.4f}",
                    ),
                    *(_relative(step), interval_words(step)),
                ]
            )
    return Section(
        title="Without retraining",
        words=[ageing_words(found)],
        columns=["week", "items", "cuts", "user weeks", "retrained", "not retrained", "change", "95% interval"],
        rows=rows,
        plots=[_ageing_plot(found)],
    )


def ageing_words(found: Ageing) -> str:
    """What the first and the last week without retraining cost, in a sentence."""
    said = []
    for week in sorted({min(found.aged), max(found.aged)}):
        aged, late = found.aged[week], week - 1
        said.append(
            f"{late} week{'s' if late > 1 else ''} without retraining: {_relative(aged.everything)} of NDCG@10 "
            f"({_sureness(aged.everything)}); on the items that the older model knows {_relative(aged.known)} "
            f"({_sureness(aged.known)})"
        )
    return f"{'. '.join(said)}."


def _sureness(step: PairedComparison) -> str:
    clear = step.interval is not None and (step.interval[1] < 0 or step.interval[0] > 0)
    return "clear of chance" if clear else "not told apart from chance"


def _relative(step: PairedComparison) -> str:
    return "–" if step.relative is None else f"{step.relative:+.1%}"


def interval_words(step: PairedComparison) -> str:
    """The interval of a difference, a dash where there is none."""
    return "–" if step.interval is None else f"{step.interval[0]:+.4f} to {step.interval[1]:+.4f}"


def _rows(steps: dict[int, PairedComparison]) -> list[list[str]]:
    return [
        [
            str(k),
            f"{step.mean_a:.4f}",
            f"{step.mean_b:.4f}",
            f"{step.difference:+.4f}",
            interval_words(step),
            f"{step.n_better:,} / {step.n_worse:,}",
        ]
        for k, step in steps.items()
    ]


def _plot(file: str, steps: dict[int, PairedComparison], baseline: str, label: str) -> Plot:
    bands = [
        None if step.interval is None else (step.mean_a + step.interval[0], step.mean_a + step.interval[1])
        for step in steps.values()
    ]
    curves = [
        Curve("model", [step.mean_b for step in steps.values()], bands),
        Curve(baseline, [step.mean_a for step in steps.values()]),
    ]
    drawn = curves_plot(file, [str(k) for k in steps], curves, (label, "NDCG@10"))
    return Plot(file, f"The model against {baseline}; {_BAND}.", drawn)


def _ageing_plot(found: Ageing) -> Plot:
    ticks = ["1", *map(str, found.aged)]
    curves = []
    for name, field in (("all items", "everything"), ("items known to the older model", "known")):
        steps: list[PairedComparison] = [getattr(aged, field) for aged in found.aged.values()]
        changes = [100 * (step.relative or 0.0) for step in steps]
        bands = [
            None
            if step.interval is None or step.mean_a == 0
            else (100 * step.interval[0] / step.mean_a, 100 * step.interval[1] / step.mean_a)
            for step in steps
        ]
        curves.append(Curve(name, [0.0, *changes], [(0.0, 0.0), *bands]))
    drawn = curves_plot("ageing", ticks, curves, ("week after the training", "change of NDCG@10, %"))
    return Plot("ageing", "Against a model retrained at the start of the week; bands are 95% intervals.", drawn)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _shown(dataset: Dataset, state_dir: Path, name: str, title: str, sections: Sequence[Section]) -> list[str]:
    # The name of a data set of one's own is the path of its file.
    folder = state_dir / "curves" / (Path(dataset.name).stem or "data")
    page, *plots = write_page(folder, name, title, sections)
    lines = [line for section in sections for line in [*section.lines(), ""]]
    return [*lines, f"page: {page}", *(f"plot: {path}" for path in plots)]
