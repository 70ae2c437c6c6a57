"""`make simulate`: users live for some days with a real service, in a real experiment; its report beside the truth."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as day_time
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.simulate.compared import Line, counts, lifts
from tests.simulate.interleaved import by_comparison, by_interleaving
from tests.simulate.stage import ARMS, Stage, make_stage
from training.simulate.community import Community, make_community
from training.simulate.days import live
from training.simulate.outcomes import Outcomes
from training.simulate.plots import plot_retention

KEY: Final = "simulation"
_MOST_WINDOW_DAYS: Final = 7
_ARMS: Final = ("popularity", "als", "blend")
_SLOTS: Final = 8
"""Of a day: the visits of three hours are under way together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 when the report does not say what was done."""
    options = _parser().parse_args(arguments)
    # The last simulated day is yesterday: by Redis' clock, which is the machine's, every one of them is over.
    begins = datetime.combine(datetime.now(UTC).date(), day_time(), UTC) - timedelta(days=options.days)
    # Short: the socket of the private Redis lies in it, and a socket's path has at most 107 bytes.
    scratch = Path(tempfile.mkdtemp(prefix="recsvc-sim-"))
    try:
        community = make_community(options.seed, options.users, options.days, begins)
        print(
            f"{options.users:,} people; training {', '.join(options.arms)} on {len(community.past):,} events …",
            flush=True,
        )
        stage = make_stage(scratch, community, options.arms)
        lines = _experiment(stage, options.seed, options.out, with_truth=not options.no_truth)
        if not options.no_interleaving:
            _interleave(stage, options.seed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0 if all(line.holds for line in lines) else 1


def _experiment(stage: Stage, seed: int, out: Path, *, with_truth: bool) -> list[Line]:
    """The A/B test, held against the truth; returns what has to hold whatever chance does."""
    community, window = stage.community, _window(stage.community)
    variants = [{"key": arm, "weight": 1, "model": version} for arm, version in stage.models.items()]
    with stage.world("ab") as world:
        world.start(KEY, {"variants": variants, "primary_metric": "ctr", "outcome_days": window})
        outcomes = _lived(community, world.server, seed, "in the experiment")
        report = world.report(KEY)
        arm = world.server.arm
        out.mkdir(parents=True, exist_ok=True)
        for file in (world.state_dir / "analysis" / "reports").glob(f"{KEY}.*"):
            shutil.copy(file, out)
    truth = {name: _world_of(stage, name, variants, seed) for name in stage.models} if with_truth else {}
    everybody = np.ones(len(arm), np.bool_)
    plot_retention(
        out / "retention.svg",
        {name: outcomes.retention(arm == name) for name in stage.models},
        {name: found.retention(everybody) for name, found in truth.items()},
    )
    exact = list(counts(report, outcomes, arm, window))
    chancy = list(lifts(report, truth, window)) if truth else []
    _show(exact, chancy)
    for comparison in report["comparisons"]:
        print(f"{comparison['variant']}: {' '.join(comparison['verdict']['sentences'])}")
    print(f"the report, and retention by arm, are in {out}")
    return exact


def _world_of(stage: Stage, arm: str, variants: list[dict[str, Any]], seed: int) -> Outcomes:
    """What would have been, had everybody been given this arm: the same people, another world."""
    with stage.world(f"all-{arm}", f"{KEY}:{arm}") as world:
        world.start(KEY, {"variants": variants})
        return _lived(stage.community, world.server, seed, f"all given {arm}")


def _interleave(stage: Stage, seed: int) -> None:
    """The second arm against the control by both methods, on as many users."""
    first, second = list(stage.models)[:2]
    teams, window = [stage.models[first], stage.models[second]], _window(stage.community)
    methods: dict[str, list[dict[str, Any]]] = {
        "A/B": [{"key": first, "model": teams[0]}, {"key": second, "model": teams[1]}],
        "interleaving": [{"key": "mixed", "mode": "interleave", "teams": teams}, {"key": "unused", "weight": 0}],
    }
    reports = {}
    for number, (method, variants) in enumerate(methods.items()):
        with stage.world(f"pair{number}") as world:
            world.start(KEY, {"variants": variants, "primary_metric": "ctr", "outcome_days": window})
            _lived(stage.community, world.server, seed + 1, f"{second} against {first} by {method}")
            reports[method] = world.report(KEY)
    compared = by_comparison(reports["A/B"])
    mixed = by_interleaving(reports["interleaving"], first, second)
    if compared is None or mixed is None:
        print(f"{second} against {first}: too few users for a comparison")
        return
    for method, found in (("A/B", compared), ("interleaving", mixed)):
        print(
            f"{method:13}{found.users:7,} users: {found.winner} is ahead, z = {found.z:.1f}; "
            f"{found.users_needed:,.0f} users would have done"
        )
    same = "the same winner" if compared.winner == mixed.winner else "not the same winner"
    print(f"{same}; interleaving takes {compared.users_needed / mixed.users_needed:.1f} times fewer users")


def _window(community: Community) -> int:
    """Days of outcomes: half of the simulation, so that the first half's users are complete; a week at most."""
    return max(1, min(_MOST_WINDOW_DAYS, community.people.days // 2))


def _lived(community: Community, server: Any, seed: int, what: str) -> Outcomes:
    began = time.perf_counter()
    visits = []
    outcomes = live(community.people, server, seed, slots=_SLOTS, told=visits.append)
    took = time.perf_counter() - began
    user_days = len(community.people) * community.people.days
    print(
        f"  {what}: {user_days:,} user-days, {sum(visits):,} visits, {server.events_sent:,} events in {took:.0f} s "
        f"({user_days / took:,.0f} user-days/s)"
        + "".join(f", degraded {name} {count}" for name, count in server.degraded.items()),
        flush=True,
    )
    return outcomes


def _show(exact: Sequence[Line], chancy: Sequence[Line]) -> None:
    print(f"{'':36}{'the report':>26}{'the truth':>14}")
    for line in exact:
        print(f"{line.what:36}{line.reported:>26}{line.true:>14}{'' if line.holds else '   DIFFERENT'}")
    for line in chancy:
        print(f"{line.what:36}{line.reported:>26}{line.true:>14}{'' if line.holds else '   outside (5 in 100 are)'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make simulate", description="Users who live with a real service.")
    parser.add_argument("--users", type=_number(20, 100_000), default=600)
    parser.add_argument("--days", type=_number(2, 60), default=14)
    parser.add_argument("--seed", type=_number(0, 2**31), default=1)
    parser.add_argument(
        "--arms", type=_arms, default=list(_ARMS), help=f"two or more of {','.join(ARMS)}; first: control"
    )
    parser.add_argument("--out", type=Path, default=Path("var/simulate"), help="where report and plot go")
    parser.add_argument("--no-truth", action="store_true", help="without the worlds in which everybody has one arm")
    parser.add_argument("--no-interleaving", action="store_true", help="without interleaving against A/B")
    return parser


def _number(least: int, most: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def _arms(text: str) -> list[str]:
    arms = text.split(",")
    if len(arms) < 2 or len(set(arms)) < len(arms) or not set(arms) <= set(ARMS):
        raise argparse.ArgumentTypeError(f"{text!r}: name two or more of {','.join(ARMS)}, with commas between")
    return arms


if __name__ == "__main__":
    sys.exit(main())
