"""`make batch`."""

from __future__ import annotations

from argparse import Namespace

from recsvc.bundle.reader import open_bundle
from training.batch.run import run_batch
from training.commands import Workspace
from training.errors import ConfigInvalid
from training.sources.erasure import tombstones_of


def batch(workspace: Workspace, options: Namespace) -> int:
    """Writes the best items for every user of a version."""
    version = options.version or workspace.registry.champion()
    if version is None:
        raise ConfigInvalid("there is no champion; next: make train promote, or name one with VERSION=")
    state_dir, progress = workspace.places.state_dir, workspace.progress
    bundle = open_bundle(workspace.registry.path(version), state_dir / "receipts")
    folder = options.out or state_dir / "batch" / f"{version}-top{options.limit}"
    with progress.stage(f"the best {options.limit} of {len(bundle.items):,} items for {len(bundle.users):,} users"):
        written = run_batch(bundle, folder, options.limit, tombstones_of(state_dir), progress)
    kept = f", {len(bundle.users) - written:,} were there" if written < len(bundle.users) else ""
    print(f"{written:,} users written to {folder}{kept}")
    print(f"next: read {folder}/part-*.parquet (user_id, items, scores, personal), then remove the folder")
    return 0
