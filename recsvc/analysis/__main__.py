"""`python -m recsvc.analysis`: reports of experiments, exposures for analyses elsewhere, sample sizes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow.csv
import pyarrow.parquet

from recsvc.analysis.aggregates import aggregates, analysis_directory
from recsvc.analysis.analyse import analyse
from recsvc.analysis.definition import Definition, read_definition
from recsvc.analysis.errors import AnalysisRefused
from recsvc.analysis.exploration import estimate_from_log
from recsvc.analysis.exposed import exposures_table, find_exposed
from recsvc.analysis.offpolicy import Value
from recsvc.analysis.open_bandit import check
from recsvc.analysis.page import render
from recsvc.analysis.sizing import plan
from recsvc.bundle.files import replace_file
from recsvc.eventlog.manifest import LogDamaged

REFUSED: Final = 2
"""Exit status: what was asked for cannot be answered; the message says what to change."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or `REFUSED`."""
    chosen = _parser().parse_args(arguments)
    try:
        chosen.run(chosen)
    except (AnalysisRefused, LogDamaged, OSError) as exc:
        print(exc, file=sys.stderr)
        return REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recsvc.analysis", description="What experiments did.")
    commands = parser.add_subparsers(required=True, metavar="command")

    report = commands.add_parser(
        "report", help="JSON and HTML of one experiment, under analysis/ in the state directory"
    )
    report.set_defaults(run=_report)
    exposures = commands.add_parser("exposures", help="who was exposed to what, as Parquet or CSV")
    exposures.add_argument("--out", type=Path, required=True, help="file to write, .parquet or .csv")
    exposures.set_defaults(run=_exposures)
    for command in (report, exposures):
        command.add_argument("experiment", help="its key")
        command.add_argument("--phase", type=int, help="default the latest")
        command.add_argument(
            "--definition", type=Path, help="JSON file; default experiments/KEY.json of the state directory"
        )

    size = commands.add_parser("size", help="how many users it takes, by the log's own variance")
    size.add_argument("--metric", default="ctr")
    size.add_argument("--effect", type=_share, default=0.02, help="relative change to see, 0.02 by default")
    size.add_argument("--days", type=_days, default=7, help="outcome window, 7 by default")
    size.add_argument("--json", action="store_true", help="print it as JSON")
    size.set_defaults(run=_size)

    count = commands.add_parser("count", help="count what is new in the log, and forget erased users")
    count.set_defaults(run=_count)
    off_policy = commands.add_parser(
        "offpolicy", help="what another policy would have earned, from the log's exploration"
    )
    off_policy.add_argument("target", type=Path, help="Parquet or CSV: recommendation_id, item_id, probability")
    off_policy.set_defaults(run=_off_policy)
    open_bandit = commands.add_parser(
        "open-bandit", help="off-policy estimates on the Open Bandit data, beside the truth"
    )
    open_bandit.set_defaults(run=_open_bandit)
    return parser


def _report(chosen: argparse.Namespace) -> None:
    definition = _definition(chosen)
    with aggregates(_state_dir()) as counts:
        print(f"counted {counts.rows_read:,} new rows of the log")
        report = analyse(counts, definition)
    folder = analysis_directory(_state_dir()) / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{definition.key}.{definition.phase}"
    document = json.dumps(report.as_json(), default=_plain, allow_nan=False, indent=1)
    replace_file(folder / f"{name}.json", document.encode())
    replace_file(folder / f"{name}.html", render(report).encode())
    for comparison in report.comparisons:
        print(" ".join(comparison.verdict.sentences))
    print(f"the report is {folder / name}.html, and .json beside it")


def _exposures(chosen: argparse.Namespace) -> None:
    definition, out = _definition(chosen), chosen.out
    if out.suffix not in (".parquet", ".csv"):
        raise AnalysisRefused(f"--out {out}: the name must end in .parquet or .csv")
    with aggregates(_state_dir()) as counts:
        find_exposed(counts.connection, definition)
        table = exposures_table(counts.connection)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        write: Any = pyarrow.csv.write_csv if out.suffix == ".csv" else pyarrow.parquet.write_table
        write(table, aside)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    print(f"{table.num_rows:,} users are in {out}")


def _size(chosen: argparse.Namespace) -> None:
    with aggregates(_state_dir()) as counts:
        found = plan(counts, chosen.metric, chosen.effect, chosen.days)
    if chosen.json:
        print(json.dumps(found.as_json(), allow_nan=False))
        return
    size = found.size
    print(
        f"{found.metric} over {found.days} days: mean {size.mean:.5g}, standard deviation of a user "
        f"{size.deviation:.5g}"
    )
    print(
        f"(of {found.users:,} users shown something in the last {found.days} days; CUPED saves "
        f"{size.variance_saved:.0%})"
    )
    print(f"a change of {size.effect:.1%}, seen in four of five experiments, two arms of equal size together:")
    print(f"  {size.always:,} users, looking whenever one likes ({found.periods:.1f} times those of the period)")
    print(f"  {size.fixed:,} users, looking once at the end")


def _count(_: argparse.Namespace) -> None:
    with aggregates(_state_dir()) as counts:
        print(f"counted {counts.rows_read:,} new rows of the log")


def _off_policy(chosen: argparse.Namespace) -> None:
    with duckdb.connect() as connection:
        found = estimate_from_log(connection, _state_dir(), chosen.target)
    print(f"{found.rows:,} impressions with a propensity, worth {found.effective:,.0f} of the other policy's own")
    for value in found.values:
        print(_line(value))


def _open_bandit(_: argparse.Namespace) -> None:
    folder = Path(os.environ.get("RECSVC_DATA_DIR") or "data") / "open-bandit"
    print("clicks per impression, with 95 % intervals")
    for found in check(folder):
        print(f"{found.campaign}: {found.target} from the log of {found.source}")
        print(_line(found.truth))
        if found.found is None:
            print(f"  refused: {found.refused}")
            continue
        for value in found.found.values:
            print(f"{_line(value)}   {found.found.effective:,.0f} effective rows")


def _line(value: Value) -> str:
    return f"  {value.name:10}{value.value:9.5f}   {value.interval[0]:.5f} to {value.interval[1]:.5f}"


def _definition(chosen: argparse.Namespace) -> Definition:
    default = _state_dir() / "experiments" / f"{chosen.experiment}.json"
    definition = read_definition(chosen.definition or default, chosen.phase)
    if definition.key != chosen.experiment:
        raise AnalysisRefused(f"{chosen.definition or default} defines {definition.key!r}, not {chosen.experiment!r}")
    if chosen.phase not in (None, definition.phase):
        raise AnalysisRefused(f"{chosen.definition or default} defines phase {definition.phase}, not {chosen.phase}")
    return definition


def _state_dir() -> Path:
    return Path(os.environ.get("RECSVC_STATE_DIR") or "var/state")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1 (0.02 is two per cent)")
    return value


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 365:
        raise argparse.ArgumentTypeError(f"{text} is not 1 to 365")
    return value


if __name__ == "__main__":
    sys.exit(main())
