"""One door to every source: a known data set by its name, anybody's files by their path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from training.errors import DataInvalid, DataMissing
from training.sources.chunks import chunks_of
from training.sources.combined import join
from training.sources.dataset import Dataset
from training.sources.erasure import tombstones_of, without_erased
from training.sources.known.adjacency import read_gowalla, read_m2
from training.sources.known.deskdrop import read_deskdrop
from training.sources.known.goodbooks import read_goodbooks
from training.sources.known.movielens import read_movielens_1m, read_movielens_100k
from training.sources.known.ncf import read_ncf
from training.sources.known.sample import read_sample
from training.sources.live_items import read_live_items
from training.sources.log import LogEmpty, read_log
from training.sources.parts import read_parts
from training.sources.request import Request

LOG: Final = "log"
"""The known name of the service's own event log."""

KNOWN: Final[dict[str, Callable[[Request], Dataset]]] = {
    "sample": read_sample,
    "deskdrop": read_deskdrop,
    "movielens-100k": read_movielens_100k,
    "movielens-1m": read_movielens_1m,
    "movielens-1m-ncf": read_ncf,
    "gowalla": read_gowalla,
    "movielens-1m-m2": read_m2,
    "goodbooks": read_goodbooks,
    LOG: read_log,
}


def load(
    name_or_path: str,
    *,
    data_dir: Path,
    columns: dict[str, str],
    catalogue: Path | None,
    max_reject_share: float,
    rejects_path: Path,
    state_dir: Path | None = None,
    with_log: bool = False,
) -> Dataset:
    """Reads and checks one source, without the users who were erased.

    `name_or_path` a known data set, found below `data_dir` (the sample is generated there), or the path of a CSV,
    JSON Lines or Parquet file of events or of a folder of them. `columns` maps our fields (user_id, item_id, type,
    timestamp, value, event_id) to the file's columns, each by its own name when absent; it is for files of one's
    own. `catalogue` describes the items, in the place of a known data set's own catalogue. Bad rows are written to
    `rejects_path` (CSV: line, reason, raw), and more of them than `max_reject_share` of all rows stop the run.
    `state_dir` has the service's event log, live items and erasures; `with_log` adds the log's events where there are
    any.

    Raises `DataMissing` when a file is not there, `DataInvalid` when it cannot be used; both name the file and the
    remedy.
    """
    # Read before the data: whoever is erased from here on is later than what the manifest says was applied.
    tombstones = tombstones_of(state_dir)
    request = Request(name_or_path, data_dir, catalogue, max_reject_share, rejects_path, state_dir, tombstones)
    if name_or_path == LOG:
        _refuse_columns(name_or_path, columns)
        return read_log(request)
    base = without_erased(_read(request, columns), tombstones)
    if not with_log or state_dir is None:
        return base
    try:
        aside = rejects_path.with_name("log.rejects.csv")
        log = read_log(replace(request, name=LOG, catalogue=None, rejects_path=aside))
    except LogEmpty:
        return base
    return join(base, log, read_live_items(state_dir))


def _read(request: Request, columns: dict[str, str]) -> Dataset:
    if request.name in KNOWN:
        _refuse_columns(request.name, columns)
        return KNOWN[request.name](request)
    path = Path(request.name)
    if not path.exists():
        raise DataMissing(
            f"{request.name}: there is no such file or folder, nor a known data set of that name; the known ones are "
            f"{', '.join(KNOWN)}"
        )
    large = chunks_of(path, columns)
    if large is not None:
        return request.finish(large.files, request.check_large(large))
    table, files = read_parts(path, columns)
    return request.finish(files, request.check(table))


def _refuse_columns(name: str, columns: dict[str, str]) -> None:
    if columns:
        raise DataInvalid(f"COLUMNS is for files of your own; leave it out for the known data set {name}")
