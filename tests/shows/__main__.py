"""`python -m tests.shows reaction|consistency|erasure`: shows one promise kept, with services of its own."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SHOWS = ("reaction", "consistency", "erasure")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when the promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.shows", description="Shows a promise kept.")
    parser.add_argument("show", choices=SHOWS)
    chosen = parser.parse_args(arguments).show
    with tempfile.TemporaryDirectory(prefix="recsvc-show-") as directory:
        return int(import_module(f"tests.shows.{chosen}").show(Path(directory)))


if __name__ == "__main__":
    raise SystemExit(main())
