"""The table that a person reads and the JSON file that a program compares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tests.bench.measurement import Measurement

_HEADER: Final = ("what", "target", "measured", "spread", "")


def table(lines: Sequence[Measurement]) -> str:
    """Aligned columns: what, target, measured, spread (least … most of the samples), verdict; then the notes."""
    rows = [_HEADER, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    text = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    text.insert(1, "  ".join("─" * width for width in widths).rstrip())
    notes = [
        f"  {line.name}: {note}" for line in lines for note in (*line.notes, *([line.missing] if line.missing else []))
    ]
    return "\n".join([*text, *([""] if notes else []), *notes])


def write_json(path: Path, lines: Sequence[Measurement], facts: dict[str, Any]) -> None:
    """`facts` and every line with its samples and details."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = [{**asdict(line), "met": line.met} for line in lines]
    path.write_text(json.dumps({**facts, "measurements": measured}, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _cells(line: Measurement) -> tuple[str, ...]:
    bound = "≥" if line.at_least else "≤"
    target = "–" if line.target is None else f"{bound} {_number(line.target)} {line.unit}"
    if line.value is None:
        return (line.name, target, "–", "", "missing")
    spread = f"{_number(min(line.samples))} … {_number(max(line.samples))}" if len(line.samples) > 1 else ""
    verdict = {True: "met", False: "MISSED", None: ""}[line.met]
    return (line.name, target, f"{_number(line.value)} {line.unit}", spread, verdict)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    left = {0, len(row) - 1}
    return [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"
