"""What a caller asks of a reader, and how every reader ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recsvc.eventlog.tombstones import Tombstones
from training.sources.assemble import assemble
from training.sources.catalogue import ItemRecord, read_catalogue
from training.sources.check import Checked, check
from training.sources.chunks import Chunks
from training.sources.dataset import Dataset
from training.sources.files import fingerprint
from training.sources.large import check_chunks
from training.sources.raw import RawTable


@dataclass(frozen=True, slots=True)
class Request:
    """`name` as the user gave it; `data_dir` where known data sets are found; `catalogue` the user's own, if any;
    `state_dir` where the service keeps its log, if that is known; `tombstones` who was erased."""

    name: str
    data_dir: Path
    catalogue: Path | None
    max_reject_share: float
    rejects_path: Path
    state_dir: Path | None = None
    tombstones: Tombstones = field(default_factory=Tombstones)

    def check(self, table: RawTable) -> Checked:
        """The table's good rows; the others go to the rejects file. Raises `DataInvalid` when they are too many."""
        return check(
            table,
            max_reject_share=self.max_reject_share,
            rejects_path=self.rejects_path,
            tombstones=self.tombstones,
        )

    def check_large(self, chunks: Chunks) -> Checked:
        """As `check`, some rows at a time."""
        return check_chunks(
            chunks,
            max_reject_share=self.max_reject_share,
            rejects_path=self.rejects_path,
            tombstones=self.tombstones,
        )

    def finish(self, files: Sequence[Path], checked: Checked, records: Sequence[ItemRecord] = ()) -> Dataset:
        """The dataset; the user's catalogue, where there is one, stands in for the source's own `records`.

        `files` are those that were read, for the fingerprint.
        """
        if self.catalogue is not None:
            records = read_catalogue(self.catalogue)
            files = [*files, self.catalogue]
        return assemble(self.name, fingerprint(files), checked, records)
