"""The verdict of a gate that nobody asked, for bundles that benchmarks publish."""

from __future__ import annotations

from typing import Final

from recsvc.bundle.manifest import GateResult

UNJUDGED: Final = GateResult(
    champion=None,
    metric="ndcg@10",
    candidate_value=0.0,
    champion_value=None,
    tolerance=0.0,
    passed=True,
    message="not evaluated: a benchmark run",
)
