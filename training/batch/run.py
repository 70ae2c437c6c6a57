"""The best items for every user of a bundle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import numpy as np

from recsvc.bundle.orderings import descending
from recsvc.bundle.types import Bool, Bundle, Int32
from recsvc.eventlog.tombstones import Tombstones
from training.batch.parts import Part
from training.batch.ranking import Lists, all_lists, filled, lister_of
from training.progress import Progress

PART_USERS: Final = 50_000


def run_batch(
    bundle: Bundle, folder: Path, limit: int, erased: Tombstones, progress: Progress, *, part_users: int = PART_USERS
) -> int:
    """Writes the best `limit` unseen items of every user to `folder`/part-*.parquet; returns the users written now.

    Ranked as the service ranks stored users without news, whatever changed in the catalogue since the bundle. Parts
    that are there are kept, so that a run goes on where one was stopped: a folder belongs to one bundle and one limit.
    Users erased since the bundle's data was read are left out. Raises ConfigInvalid where a part is of another run.
    """
    lister, popular = lister_of(bundle), _popular(bundle)
    shown = _shown(bundle, erased)
    run = f"{bundle.version}, {limit} items a user, {part_users} users a part"
    n_users, written, started = len(bundle.users), 0, time.perf_counter()
    for number, first in enumerate(range(0, n_users, part_users)):
        end = min(first + part_users, n_users)
        part = Part(folder / f"part-{number:05}.parquet", run, first, end, shown[first:end])
        if part.is_done():
            continue
        made = list(all_lists(lister, first, end, min(limit, len(bundle.items))))
        lists = Lists(np.concatenate([one.items for one in made]), np.concatenate([one.scores for one in made]))
        part.write(bundle, *filled(bundle, popular, lists, first))
        written += end - first
        rate = written / (time.perf_counter() - started)
        progress.say(f"  {end:,} of {n_users:,} users; {rate:,.0f} a second")
    return written


def _popular(bundle: Bundle) -> Int32:
    if bundle.orders is not None:
        return bundle.orders.popular
    return descending(bundle.popularity, np.arange(len(bundle.items), dtype=np.int32))


def _shown(bundle: Bundle, erased: Tombstones) -> Bool:
    if not len(erased):
        return np.ones(len(bundle.users), dtype=np.bool_)
    applied_at = bundle.manifest.erasures_applied_at
    return np.fromiter((not erased.hides(user, applied_at) for user in bundle.users), np.bool_, len(bundle.users))
