"""The results as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.accuracy.community import METRIC, Community
from tests.bench.accuracy.measure import Result

_HEAD: Final = (
    "| recipe | metric | ours, mean ± s.d. | best published | target | | fit, s "
    "| miss p50 / p99, ms (ratio) | bundle, MB |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def markdown(results: Sequence[Result], community: Community | None) -> str:
    """Tables; a target that is missed says so."""
    lines = [_HEAD]
    for result in results:
        lines += _lines(result)
    blocks = ["\n".join(lines)]
    if community is not None:
        blocks.append(_community(community))
    return "\n\n".join(blocks)


def write_json(path: Path, results: Sequence[Result], community: Community | None, facts: dict[str, Any]) -> None:
    """Everything, with the settings and each seed's values."""
    rows = [
        {
            "name": result.row.name,
            "dataset": result.row.dataset,
            "figures": [asdict(figure) for figure in result.row.figures],
            "seeds": list(result.seeds),
            "test_users": result.test_users,
            "values": result.values,
            "fit_seconds": list(result.seconds),
            "learning_seconds": result.learning_seconds,
            "weights": result.weights.model_dump() if result.weights else None,
            "validation": result.validation,
            "served": asdict(result.served),
            "settings": result.config.model_dump(mode="json"),
        }
        for result in results
    ]
    document = {**facts, "rows": rows, "community": asdict(community) if community else None}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _lines(result: Result) -> list[str]:
    served = result.served
    costs = (
        f"{sum(result.seconds) / len(result.seconds):.0f}"
        + (f" (weights {result.learning_seconds:.0f})" if result.weights else ""),
        f"{served.median:.1f} / {served.p99:.1f} ({served.median / served.plain_median:.1f} ×)",
        f"{served.bytes / 1e6:.0f}",
    )
    lines = []
    for number, figure in enumerate(result.row.figures):
        value = result.mean(figure.metric)
        verdict = "" if figure.target is None else "met" if value >= figure.target else "**missed**"
        cells = (
            result.row.name if not number else "",
            figure.metric,
            f"{value:.4f} ± {result.spread(figure.metric):.4f}",
            _known(figure.published),
            _known(figure.target),
            verdict,
            *(costs if not number else ("", "", "")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _community(community: Community) -> str:
    lines = [
        f"| deskdrop, {community.test_users} users | {METRIC} | blend minus it | 95 % interval | p |",
        "|---|---|---|---|---|",
    ]
    for name, mean in community.means.items():
        found = community.comparisons.get(name)
        if found is None or found.interval is None or found.p_value is None:
            lines.append(f"| {name} | {mean:.4f} | | | |")
            continue
        low, high = found.interval
        lines.append(
            f"| {name} | {mean:.4f} | {found.difference:+.4f} | {low:+.4f} … {high:+.4f} | {found.p_value:.2g} |"
        )
    return "\n".join(lines)


def _known(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
