"""Off-policy estimates against the truth, on the Open Bandit data: two policies, each with a log of its own.

Saito, Aihara, Matsutani, Narita, "Open bandit dataset and pipeline" (arXiv 2008.07146).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from recsvc.analysis.errors import AnalysisRefused, SupportMissing
from recsvc.analysis.offpolicy import Logged, OffPolicy, Value, estimate, on_policy
from recsvc.bundle.types import Float64

CAMPAIGNS: Final = ("men", "women")
POLICIES: Final = ("random", "bts")


@dataclass(frozen=True, slots=True)
class Check:
    """The value of `target` from the log of `source`, beside what `target` earned in its own log.

    `found` None where it was refused, for the reason `refused`.
    """

    campaign: str
    source: str
    target: str
    truth: Value
    found: OffPolicy | None
    refused: str | None


def check(folder: Path) -> list[Check]:
    """Both directions of every campaign in `folder`. Raises `AnalysisRefused` where a file is not there."""
    checks = []
    for campaign in CAMPAIGNS:
        logs = {policy: read(folder / policy / campaign / f"{campaign}.csv.gz") for policy in POLICIES}
        actions = 1 + max(int(log.action.max()) for log in logs.values())
        slots = 1 + max(int(log.slot.max()) for log in logs.values())
        for source, target in (POLICIES, POLICIES[::-1]):
            truth = on_policy(logs[target].reward)
            wanted = (
                choices(logs[target], slots, actions) if target == "bts" else np.full((slots, actions), 1 / actions)
            )
            try:
                found, refused = estimate(logs[source], wanted), None
            except SupportMissing as exc:
                found, refused = None, str(exc)
            checks.append(Check(campaign, source, target, truth, found, refused))
    return checks


def choices(log: Logged, slots: int, actions: int) -> Float64:
    """How often a policy chose each action in each slot, (n_slots, n_actions).

    Thompson sampling moves with what it learns, so it has no one probability per action; over the whole log its average
    choice is what the log itself shows.
    """
    counts = np.zeros((slots, actions))
    np.add.at(counts, (log.slot, log.action), 1.0)
    shares: Float64 = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return shares


def read(file: Path) -> Logged:
    """One log; slots are the positions from 0 on. Raises `AnalysisRefused` where it is not there or not such a file."""
    try:
        rows = duckdb.execute(
            "SELECT click, propensity_score, item_id, position FROM read_csv(?, header = true) ORDER BY timestamp",
            [str(file)],
        ).fetchnumpy()
    except duckdb.Error as exc:
        raise AnalysisRefused(
            f"{file}: no log of the Open Bandit data ({str(exc).splitlines()[0]}); set RECSVC_DATA_DIR to the folder "
            "that has open-bandit/"
        ) from exc
    position = np.asarray(rows["position"], np.int64)
    return Logged(
        np.asarray(rows["click"], np.float64),
        np.asarray(rows["propensity_score"], np.float64),
        np.asarray(rows["item_id"], np.int64),
        position - position.min(),
    )
