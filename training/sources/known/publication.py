"""Where a published data set's files belong, and who publishes them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from training.errors import DataInvalid, DataMissing
from training.sources.files import find


@dataclass(frozen=True, slots=True)
class Publication:
    """`folder` below the data directory; `page` where the authors publish the files."""

    name: str
    folder: str
    page: str

    def find(self, data_dir: Path, *names: str) -> Path | None:
        """The first of the files that is there, plain, gzipped or zipped."""
        return find(data_dir / self.folder, *names)

    def require(self, data_dir: Path, *names: str) -> Path:
        """As `find`, but raises `DataMissing` saying which file belongs where and who publishes it."""
        path = self.find(data_dir, *names)
        if path is None:
            wanted = " or ".join(f"{self.folder}/{name}" for name in names)
            raise DataMissing(
                f"{self.name}: {wanted} (plain, .gz or .zip) is not below {data_dir}. Its authors publish it at "
                f"{self.page}: put it into a folder {self.folder}/ and set RECSVC_DATA_DIR to the folder above that"
            )
        return path


@contextmanager
def as_published(path: Path) -> Iterator[None]:
    """Raises `DataInvalid` where reading the file's content fails because it is not in the published format."""
    try:
        yield
    except (ValueError, KeyError, csv.Error, pa.ArrowException) as exc:
        raise DataInvalid(f"{path}: not in the format in which it is published ({exc}); fetch it again") from exc
