"""The curves' tables, pages and plots."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from tests.training.test_report import HOSTILE, Page
from training.compare import paired
from training.curves import new_items_section, new_users_section
from training.new_items import NewItems
from training.reaction import Reaction
from training.report.curves import write_page


def reaction(name: str = "built") -> Reaction:
    rng = np.random.default_rng(0)
    base = rng.random(40).astype(np.float32)
    steps = {k: paired(base, np.minimum(base + 0.02 * k, 1).astype(np.float32), seed=0) for k in (0, 1, 10)}
    return Reaction(name, 40, steps)


def test_the_table_has_a_line_for_each_number_of_events_and_lines_up() -> None:
    lines = new_users_section(reaction()).lines()
    assert "40 users" in lines[0]
    assert [line.split()[0] for line in lines[3:]] == ["0", "1", "10"]
    assert len({len(line) for line in lines[2:]}) == 1


def test_too_few_users_for_an_interval_are_drawn_without_a_band() -> None:
    one = paired(np.array([0.5], np.float32), np.array([0.7], np.float32), seed=0)
    section = new_items_section(NewItems(6, 1, 0.1, {0: one, 1: one}))
    assert section.rows[0][4] == "–"
    assert "svg" in section.plots[0].svg


def test_the_page_holds_table_and_plots_and_needs_nothing_from_outside(tmp_path: Path) -> None:
    page, *plots = write_page(tmp_path / "deep", "cold-start", HOSTILE, [new_users_section(reaction(HOSTILE))])
    shown = Page(page.read_text("utf-8"))
    assert HOSTILE in shown.words
    assert not {"script", "link", "img", "image"} & set(shown.tags)
    assert shown.tags.count("tr") == 1 + 3
    assert [plot.name for plot in plots] == ["new-users.svg"]


def test_a_plot_alone_is_a_whole_file_with_its_own_paper(tmp_path: Path) -> None:
    _, plot = write_page(tmp_path, "cold-start", "t", [new_users_section(reaction())])
    root = ET.parse(plot).getroot()
    assert root.tag.endswith("svg")
    assert root[1].tag.endswith("rect")
    assert "--faint:" in (root[0].text or "")
    assert plot.stat().st_size < 60_000
