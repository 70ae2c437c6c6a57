"""The curves as people see them: tables for the terminal, a page and plots in the state directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def _shown(dataset: Dataset, state_dir: Path, name: str, title: str, sections: Sequence[Section]) -> list[str]:
    # The name of a data set of one's own is the path of its file.
    folder = state_dir / "curves" / (Path(dataset.name).stem or "data")
    page, *plots = write_page(folder, name, title, sections)
    lines = [line for section in sections for line in [*section.lines(), ""]]
    return [*lines, f"page: {page}", *(f"plot: {path}" for path in plots)]
