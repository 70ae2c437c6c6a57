"""`make validate-statistics`: prints what was promised and what was found; exit status 1 when a promise is broken."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.analysis.validation.checks import Finding, coverage, daily_looks, false_positives, sample_ratios
from tests.analysis.validation.interleaved import methods
from tests.analysis.validation.simulated import lifts


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.analysis.validation", description="Statistics, put to the test."
    )
    parser.add_argument("--runs", type=int, default=2_000, help="A/A runs; a tenth of them A/B and sample ratios")
    runs = parser.parse_args(arguments).runs
    started = time.perf_counter()
    findings: list[Finding] = []
    fewer = max(1, runs // 10)
    checks = (
        (sample_ratios, fewer),
        (coverage, fewer),
        (lifts, fewer),
        (methods, fewer),
        (false_positives, runs),
        (daily_looks, runs),
    )
    for check, count in checks:
        for found in check(count):
            findings.append(found)
            share = found.hits / found.runs
            state = "kept" if found.kept else "BROKEN"
            print(f"{found.name:56}{share:8.2%} of {found.runs:,}   promised {found.promised:14} {state}", flush=True)
    broken = [found.name for found in findings if not found.kept]
    file = Path("var/bench/statistics.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(found) for found in findings], indent=1))
    print(f"{time.perf_counter() - started:.0f} s; everything is in {file}")
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
