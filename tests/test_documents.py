"""The documents say what is there: their commands, links, variables and paths exist, and their examples run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from recsvc.app import create_app
from recsvc.settings import OTHER_VARIABLES, PREFIX, Settings
from recsvc.telemetry import Telemetry

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "models" / "README.md"])
RUN_MARK = "<!-- test: run -->"
MADE_BY_RUNNING = ("models/CHAMPION", "var/")
"""What a document may name though no clone has it."""


class Ran(NamedTuple):
    """The examples of a document after their run: where, and what each printed."""

    workspace: Path
    runs: list[subprocess.CompletedProcess[str]]


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def makefile_targets() -> set[str]:
    """The targets declared phony, continuation lines included."""
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    return {name for names in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for name in names.split()}


def code_spans(text: str) -> list[str]:
    """What stands between single backticks, fenced blocks aside."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", prose)


def make_commands(text: str) -> set[str]:
    """The targets of every `make …` in code, in spans and in blocks; `make train evaluate` names two."""
    lines = [span for span in code_spans(text) if span.startswith("make ")]
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        lines += [line.strip() for line in block.splitlines() if line.strip().startswith("make ")]
    named: set[str] = set()
    for line in lines:
        for word in line.split()[1:]:
            if not re.fullmatch(r"[a-z-]+", word):
                break
            named.add(word)
    return named


def anchors(document: Path) -> set[str]:
    """The fragments by which a document's headings are linked, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def looks_like_a_path(span: str) -> bool:
    """Whether a code span names a file or folder of this repository: it starts with one of the top folders."""
    folders = {"recsvc", "training", "tests", "docs", "models", "deploy", "var", ".ci"}
    plain = re.fullmatch(r"[\w./-]+", span) is not None
    return plain and "/" in span and span.split("/", maxsplit=1)[0] in folders


class TestNames:
    @each_document
    def test_every_make_command_is_a_target(self, document: Path) -> None:
        assert make_commands(document.read_text("utf-8")) <= makefile_targets()

    def test_commands_are_found_at_all(self) -> None:
        named = make_commands((ROOT / "README.md").read_text("utf-8"))
        assert {"run", "test", "train", "evaluate"} <= named

    @each_document
    def test_every_relative_link_resolves(self, document: Path) -> None:
        broken = []
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, fragment = link.partition("#")
            target = document.parent / path if path else document
            if not target.exists() or (fragment and fragment not in anchors(target)):
                broken.append(link)
        assert broken == []

    @each_document
    def test_every_path_exists(self, document: Path) -> None:
        paths = [span for span in code_spans(document.read_text("utf-8")) if looks_like_a_path(span)]
        missing = [p for p in paths if not p.startswith(MADE_BY_RUNNING) and not (ROOT / p).exists()]
        assert missing == []

    def test_a_wrong_path_would_be_noticed(self) -> None:
        assert looks_like_a_path("recsvc/serving/nowhere.py")
        assert not looks_like_a_path("application/problem+json")


class TestVariables:
    @property
    def known(self) -> set[str]:
        return {PREFIX + field.upper() for field in Settings.model_fields} | set(OTHER_VARIABLES)

    @each_document
    def test_every_variable_named_exists(self, document: Path) -> None:
        named = set(re.findall(r"\bRECSVC_[A-Z][A-Z_]*[A-Z]\b", document.read_text("utf-8")))
        assert named <= self.known

    def test_every_variable_is_documented(self) -> None:
        text = (ROOT / "docs" / "settings.md").read_text("utf-8")
        assert {name for name in self.known if f"`{name}`" not in text} == set()


class TestHTTP:
    """`docs/http.md` against the code."""

    @property
    def tables(self) -> list[str]:
        return re.findall(r"^\| .*$", (ROOT / "docs" / "http.md").read_text("utf-8"), re.MULTILINE)

    def test_every_address_is_listed_and_none_that_is_not_there(self) -> None:
        paths = create_app(Settings(), Telemetry()).openapi()["paths"]
        served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
        without_schema = {"GET /", "GET /docs", "GET /openapi.json"}
        cells = [line.split("|")[1] for line in self.tables]
        listed = [span for cell in cells for span in code_spans(cell) if re.match("[A-Z]+ /", span)]
        assert sorted(listed) == sorted(served | without_schema)

    def test_every_kind_of_problem_is_listed_with_its_status_and_none_that_is_not_there(self) -> None:
        sources = "".join(path.read_text("utf-8") for path in (ROOT / "recsvc" / "api").glob("*.py"))
        raised = set(re.findall(r'\b([45]\d\d), "([a-z-]+)", "', sources))
        by_the_framework = {("404", "not-found"), ("405", "method-not-allowed")}
        rows = [line.split("|") for line in self.tables if re.match(r"\| [45]\d\d \|", line)]
        listed = [(row[1].strip(), kind) for row in rows for kind in code_spans(row[2])]
        assert sorted(listed) == sorted(raised | by_the_framework)


class TestHelp:
    def test_help_lists_every_target(self) -> None:
        shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=clean_env())
        assert set(re.findall(r"^ *make ([a-z-]+)", shown.stdout, re.MULTILINE)) == makefile_targets()

    def test_help_is_the_default(self) -> None:
        answers = [
            subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True, env=clean_env())
            for words in ([], ["help"])
        ]
        assert answers[0].stdout == answers[1].stdout != ""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Ran]:
    """Every marked document with its examples run, once for all tests."""
    marked = [document for document in DOCUMENTS if RUN_MARK in document.read_text("utf-8")]
    return {document: run_examples(document, tmp_path_factory.mktemp(document.stem)) for document in marked}


class TestExamples:
    """The blocks after the mark `<!-- test: run -->`, run by the real Makefile with this interpreter."""

    def test_every_example_runs(self, ran: dict[Path, Ran]) -> None:
        failed = {str(path): done.stderr for path, (_, runs) in ran.items() for done in runs if done.returncode != 0}
        assert failed == {}

    def test_own_events_end_in_a_champion_with_a_report_and_an_explained_list(self, ran: dict[Path, Ran]) -> None:
        workspace, runs = ran[ROOT / "docs" / "training.md"]
        models = workspace / "var" / "try" / "models"
        champion = (models / "CHAMPION").read_text("ascii").strip()
        assert (models / champion / "report.html").is_file()
        printed = "".join(done.stdout for done in runs)
        assert f"reader-3 in {champion}" in printed
        assert "because of" in printed
        assert "Sourdough in a day" in printed

    def test_readme_maps_columns_as_the_example_that_is_run(self) -> None:
        (line,) = re.findall(r"^make train DATA=.*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
        assert line in "\n".join(examples(ROOT / "docs" / "training.md")).splitlines()


def examples(document: Path) -> list[str]:
    """The fenced blocks that follow the mark."""
    pattern = re.escape(RUN_MARK) + r"\n```bash\n(.*?)^```"
    return re.findall(pattern, document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def run_examples(document: Path, folder: Path) -> Ran:
    """Runs the examples of a document one after the other in a workspace of its own."""
    workspace = make_workspace(folder)
    runs = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=workspace,
            env=clean_env() | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for block in examples(document)
    ]
    return Ran(workspace, runs)


def clean_env() -> dict[str, str]:
    """The environment without our variables, and without those by which a make above would speak to one below."""
    inherited = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) and name not in inherited}


def make_workspace(folder: Path) -> Path:
    """A folder with the real Makefile, whose virtual environment is the interpreter of this test, already installed."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    python = binaries / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder
