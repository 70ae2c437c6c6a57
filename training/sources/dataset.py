"""What every reader returns, whatever the file looked like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recsvc.bundle.types import Int32, Int64

Attribute = str | float | bool


@dataclass(frozen=True, slots=True)
class Events:
    """Checked events in columns, n rows in file order.

    `users` int32 (n,) positions in `user_ids`; `items` int32 (n,) positions in `item_ids`; `types` int8 (n,)
    positions in `recsvc.events.schema.EVENT_TYPES`; `timestamps` float64 (n,) Unix seconds, NaN where the source
    has none; `values` float32 (n,) (completion in 0..1, a rating scaled to 0..1), NaN where there is none.
    `user_ids` and `item_ids` are distinct and sorted by their UTF-8 bytes; ids that appear only in the catalogue
    are in `item_ids` too.
    """

    user_ids: list[str]
    item_ids: list[str]
    users: Int32
    items: Int32
    types: npt.NDArray[np.int8]
    timestamps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def has_time(self) -> bool:
        """Whether every event has a timestamp (and there is one)."""
        return len(self) > 0 and not bool(np.isnan(self.timestamps).any())


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The catalogue in columns, row i describing `Events.item_ids[i]`.

    `titles` "" when unknown; `creators` "" when unknown; `categories` lists of category ids; `published_at`
    int64 (n_items,) Unix seconds, `recsvc.bundle.types.NO_TIME` when unknown; `attributes` by name, {} when unknown.
    """

    titles: list[str]
    creators: list[str]
    categories: list[list[str]]
    published_at: Int64
    attributes: list[Mapping[str, Attribute]]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A given ranking task: for each user one held-out item among given negatives.

    `users` int32 (m,); `items` int32 (m, 1 + n_negatives), the held-out item in column 0.
    """

    users: Int32
    items: Int32


@dataclass(frozen=True, slots=True)
class Rejects:
    """What validation refused: counts by reason, and where the details were written (None when there were none)."""

    total: int = 0
    by_reason: dict[str, int] = field(default_factory=dict)
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """One source, read and checked.

    `name` what the user asked for ("deskdrop", or the file's path); `fingerprint` SHA-256 (hex) over the contents
    of the files read; `given_test` bool (n,) marks the events of a published test part, None when there is none;
    `log_ends` and `erasures_applied_at` as in the manifest; `log_events` how many of the events are the log's; `erased`
    how many were left out because their user was erased.
    """

    name: str
    fingerprint: str
    events: Events
    items: ItemColumns
    rejects: Rejects
    given_test: npt.NDArray[np.bool_] | None = None
    candidates: Candidates | None = None
    log_ends: dict[str, str] | None = None
    log_events: int = 0
    erasures_applied_at: float | None = None
    erased: int = 0
