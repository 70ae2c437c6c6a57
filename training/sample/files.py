"""The sample community as a folder of Parquet files, whole or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from training.sample.generate import VERSION, generate

EVENTS_FILE: Final = "events.parquet"
ITEMS_FILE: Final = "items.parquet"
TRUE_USERS_FILE: Final = "truth.parquet"
TRUE_ITEMS_FILE: Final = "truth_items.parquet"
_STAMP: Final = b"recsvc.sample"


def write(folder: Path, seed: int, truth: bool) -> None:
    """Generates the community and puts its files into the folder, in the place of what was there.

    The files are written beside the folder, which then takes their place by a rename. `truth` adds `truth.parquet`
    and `truth_items.parquet`, the factors behind each user's preferences. The same seed gives the same bytes.
    """
    community = generate(seed)
    tables = {EVENTS_FILE: community.events, ITEMS_FILE: community.items}
    if truth:
        tables |= {TRUE_USERS_FILE: community.true_users, TRUE_ITEMS_FILE: community.true_items}
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        aside.mkdir()
        for name, table in tables.items():
            pq.write_table(table.replace_schema_metadata({_STAMP: _stamp(seed)}), aside / name, compression="zstd")
        if folder.exists():
            folder.rename(old)
        try:
            aside.rename(folder)
        except OSError:
            # Another run may have put the same community there in the meantime.
            if not is_current(folder, seed):
                raise
    finally:
        for leftover in (aside, old):
            shutil.rmtree(leftover, ignore_errors=True)


def is_current(folder: Path, seed: int) -> bool:
    """Whether the folder has the events and items that this version of the generator makes of the seed."""
    return all(_stamp_of(folder / name) == _stamp(seed) for name in (EVENTS_FILE, ITEMS_FILE))


def _stamp(seed: int) -> bytes:
    return f"version {VERSION}, seed {seed}".encode()


def _stamp_of(path: Path) -> bytes | None:
    try:
        metadata: dict[bytes, bytes] | Any = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return metadata.get(_STAMP)
