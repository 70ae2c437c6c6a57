"""`python -m tests.shows <show>`: shows one promise kept, with services of its own."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SHOWS = ("reaction", "consistency", "erasure", "blend", "harness")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when the promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.shows", description="Shows a promise kept.")
    parser.add_argument("show", choices=SHOWS)
    parser.add_argument("--dataset", help="what a blend is trained on; default the champion, or the sample")
    options = parser.parse_args(arguments)
    if options.dataset and options.show != "blend":
        parser.error(f"{options.show} trains on the sample: --dataset goes with blend")
    chosen = {"dataset": options.dataset} if options.dataset else {}
    with tempfile.TemporaryDirectory(prefix="recsvc-show-") as directory:
        return int(import_module(f"tests.shows.{options.show}").show(Path(directory), **chosen))


if __name__ == "__main__":
    raise SystemExit(main())
