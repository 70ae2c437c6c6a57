"""`python -m training …`: the commands behind the make targets."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dotenv import dotenv_values

from recsvc.bundle.errors import BundleError
from training import commands
from training.batch.command import batch
from training.errors import ConfigInvalid, TrainingError
from training.plan import Places
from training.progress import Progress

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it did what was asked, 1 when the gate refused, 2 for an error it explains."""
    try:
        options = _parser(environment()).parse_args(arguments)
        workspace = commands.Workspace(
            places=Places(options.models_dir, options.state_dir),
            data_dir=options.data_dir,
            progress=Progress(quiet=options.quiet),
        )
        command: Callable[[commands.Workspace, argparse.Namespace], int] = options.command
        return command(workspace, options)
    except (TrainingError, BundleError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        print("error: the output was closed before its end; run again without what closed it", file=sys.stderr)
        return USAGE_ERROR
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        print(f"error: {where}{exc.strerror or exc}; make room or give access there, and run again", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted; nothing was published", file=sys.stderr)
        return 130


def environment() -> dict[str, str]:
    """The process's variables over those of the file that RECSVC_ENV_FILE names, as the service reads them.

    Raises ConfigInvalid when there is no such file.
    """
    named = os.environ.get("RECSVC_ENV_FILE")
    if not named:
        return dict(os.environ)
    if not Path(named).is_file():
        raise ConfigInvalid(f"RECSVC_ENV_FILE: there is no file {named}; correct the path or unset it")
    read = dotenv_values(named, interpolate=False)
    return {name: value for name, value in read.items() if value} | dict(os.environ)


def _parser(variables: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--models-dir", type=Path, default=Path(variables.get("RECSVC_MODELS_DIR") or "models"))
    parser.add_argument("--state-dir", type=Path, default=Path(variables.get("RECSVC_STATE_DIR") or "var/state"))
    parser.add_argument("--data-dir", type=Path, default=Path(variables.get("RECSVC_DATA_DIR") or "data"))
    parser.add_argument("--quiet", action="store_true", help="print results only")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, command: Callable[..., int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    for name, command, text in (
        ("data", commands.data, "read and check a data set (the sample is generated)"),
        ("train", commands.train, "train, evaluate and publish a version, without promoting it"),
        ("retrain", commands.retrain, "data → train → evaluate → gate → promote"),
        (
            "reaction",
            commands.reaction,
            "cold start: NDCG@10 of users after their first events, and of items after their first users",
        ),
        ("ensure", commands.ensure, "train and promote only when there is no champion yet"),
    ):
        _add_source(verb(name, command, text))
    evaluate = verb("evaluate", commands.evaluate, "measure the recipe of a version against the baselines again")
    evaluate.add_argument("--version", help="a version; default the newest one of the data set")
    _add_source(evaluate)
    ageing = verb(
        "ageing", commands.ageing, "train to several days, test on the weeks after, with and without retraining"
    )
    ageing.add_argument("--weeks", type=_weeks, help="how many weeks after its training a model is tested on")
    _add_source(ageing)
    compare = verb("compare", commands.compare, "compare the recipes of two versions over the same users")
    compare.add_argument("a")
    compare.add_argument("b")
    schedule = verb("schedule", commands.schedule, "retrain whenever it is time, until stopped; the gate decides")
    schedule.add_argument("--every-hours", type=_positive_number, help="retrain when the newest version is that old")
    schedule.add_argument("--every-events", type=_positive, help="retrain when the log has so many new rows")
    schedule.add_argument("--look-every-seconds", type=_positive_number, default=30.0, help="how often to look")
    tune = verb(
        "tune", commands.tune, "search settings on a validation part of the training part; goes on where it was"
    )
    tune.add_argument("--minutes", type=_positive_number, default=30.0, help="for this run; default 30")
    tune.add_argument("--trials", type=_positive, default=60, help="in all, those of earlier runs included; default 60")
    tune.add_argument("--max-factors", type=_positive, default=256, help="the most factors that are tried; default 256")
    _add_source(tune)
    verb("models", commands.models, "list the published versions")
    recommend = verb("recommend", commands.recommend, "print what a model recommends to a user")
    recommend.add_argument("user")
    recommend.add_argument("--version", help="a version; default the champion")
    recommend.add_argument("--limit", type=_positive, default=10)
    batched = verb("batch", batch, "the best items for every user, to Parquet; goes on where it was stopped")
    batched.add_argument("--version", help="a version; default the champion")
    batched.add_argument("--limit", type=_positive, default=20, help="items a user; default 20")
    batched.add_argument(
        "--out", type=Path, help="the folder; default batch/<version>-top<limit> in the state directory"
    )
    prune = verb(
        "prune",
        commands.prune,
        "remove old versions; those the service may need stay",
    )
    prune.add_argument("keep", type=_positive)
    promote = verb("promote", commands.promote, "make a version the champion, if the gate lets it pass")
    promote.add_argument("version", nargs="?", help="default: the newest")
    promote.add_argument("--force", action="store_true", help="promote whatever the gate says")
    verb("rollback", commands.rollback, "make the previous champion champion again")
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", help="a known data set; without any source the sample (retrain: the champion's)")
    parser.add_argument("--data", help="a CSV, JSONL or Parquet file of events, instead of a known data set")
    parser.add_argument("--columns", type=_columns, default={}, help="user_id=uid,item_id=iid,…")
    parser.add_argument("--catalogue", type=Path, help="a CSV, JSONL or Parquet file of items")
    parser.add_argument("--config", type=Path, help="a TOML file of settings; training/default.toml documents them")


def _columns(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not ours.strip() or not theirs.strip() for ours, _, theirs in pairs):
        raise ConfigInvalid(f"COLUMNS={text!r}: write our_field=their_column, separated by commas")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def _weeks(text: str) -> int:
    weeks = _positive(text)
    if weeks > 52:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a year of weeks")
    return weeks


def _positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


if __name__ == "__main__":
    # What was begun is cleaned up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which is what nohup asks for
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    sys.exit(main())
