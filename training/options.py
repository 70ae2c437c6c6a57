"""What a command line asks for, as a plan, and back as words that can be pasted into a shell."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from training.config import load_config
from training.plan import Plan, Source


def plan_of(options: Namespace, data_dir: Path) -> Plan:
    """The source and the settings that the options name; the sample where they name no source."""
    source = Source(
        name=source_name(options),
        data_dir=data_dir,
        columns=options.columns,
        catalogue=options.catalogue.resolve() if options.catalogue else None,
    )
    return Plan(source, load_config(source.name, options.config))


def names_a_source(options: Namespace) -> bool:
    """Whether they name one."""
    return bool(options.dataset or options.data or options.columns or options.catalogue)


def source_name(options: Namespace) -> str:
    """The known data set, or the path of the data."""
    # Absolute, so that the recorded recipe finds its file again from any directory.
    return str(Path(options.data).resolve()) if options.data else options.dataset or "sample"


def source_words(options: Namespace) -> str:
    """The options as variables of `make`."""
    words = [f"DATA={shlex.quote(options.data)}"] if options.data else [f"DATASET={source_name(options)}"]
    if options.columns:
        mapping = ",".join(f"{ours}={theirs}" for ours, theirs in options.columns.items())
        words.append(f"COLUMNS={shlex.quote(mapping)}")
    for name, value in (("CATALOGUE", options.catalogue), ("CONFIG", options.config)):
        if value:
            words.append(f"{name}={shlex.quote(str(value))}")
    return " ".join(words)
