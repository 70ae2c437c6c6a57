"""One door to every source: a known data set by its name, anybody's files by their path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from training.errors import DataInvalid, DataMissing
from training.sources.dataset import Dataset
from training.sources.known.deskdrop import read_deskdrop
from training.sources.known.goodbooks import read_goodbooks
from training.sources.known.gowalla import read_gowalla
from training.sources.known.movielens import read_movielens_1m, read_movielens_100k
from training.sources.known.ncf import read_ncf
from training.sources.known.sample import read_sample
from training.sources.parts import read_parts
from training.sources.request import Request

KNOWN: Final[dict[str, Callable[[Request], Dataset]]] = {
    "sample": read_sample,
    "deskdrop": read_deskdrop,
    "movielens-100k": read_movielens_100k,
    "movielens-1m": read_movielens_1m,
    "movielens-1m-ncf": read_ncf,
    "gowalla": read_gowalla,
    "goodbooks": read_goodbooks,
}


def load(
    name_or_path: str,
    *,
    data_dir: Path,
    columns: dict[str, str],
    catalogue: Path | None,
    max_reject_share: float,
    rejects_path: Path,
) -> Dataset:
    """Reads and checks one source.

    `name_or_path` a known data set, found below `data_dir` (the sample is generated there), or the path of a CSV,
    JSON Lines or Parquet file of events or of a folder of them. `columns` maps our fields (user_id, item_id, type,
    timestamp, value, event_id) to the file's columns, each by its own name when absent; it is for files of one's
    own. `catalogue` describes the items, in the place of a known data set's own catalogue. Bad rows are written to
    `rejects_path` (CSV: line, reason, raw), and more of them than `max_reject_share` of all rows stop the run.

    Raises `DataMissing` when a file is not there, `DataInvalid` when it cannot be used; both name the file and the
    remedy.
    """
    request = Request(name_or_path, data_dir, catalogue, max_reject_share, rejects_path)
    if name_or_path in KNOWN:
        if columns:
            raise DataInvalid(f"COLUMNS is for files of your own; leave it out for the known data set {name_or_path}")
        return KNOWN[name_or_path](request)
    path = Path(name_or_path)
    if not path.exists():
        raise DataMissing(
            f"{name_or_path}: there is no such file or folder, nor a known data set of that name; the known ones are "
            f"{', '.join(KNOWN)}"
        )
    table, files = read_parts(path, columns)
    return request.finish(files, request.check(table))
