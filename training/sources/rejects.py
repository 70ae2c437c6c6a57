"""The rejects file: every refused row, so that a person can find and mend it."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from training.sources.raw import BadRow


def write_rejects(path: Path, refused: list[BadRow], *, name_files: bool) -> None:
    """Writes CSV with the columns line, reason, raw beside `path` and renames it there.

    `name_files` puts the file before the line ("part-1.csv:12"). With nothing refused, an earlier file is removed, so
    that it does not pass for this run's.
    """
    if not refused:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow(["line", "reason", "raw"])
            writer.writerows(
                [f"{bad.path.name}:{bad.line}" if name_files else bad.line, bad.reason, bad.excerpt] for bad in refused
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
