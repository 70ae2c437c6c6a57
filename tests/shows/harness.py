"""Ten thousand users and three experiments: an OpenFeature client, the recommendations of another process and the event
log say the same variant of each user."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from recsvc.eventlog.reader import snapshot
from tests.shows.stage import Stage, event, in_ci, send, stage

USERS = 300 if in_ci() else 10_000
OUTSIDE = "-"
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "halves": {"variants": [{"key": "control"}, {"key": "treatment"}]},
    "thirds": {"variants": [{"key": "a"}, {"key": "b"}, {"key": "c"}], "coverage": 0.5},
    "spaced": {
        "variants": [{"key": "off", "weight": 3}, {"key": "on", "weight": 1}],
        "namespace": {"name": "page", "from": 0.2, "to": 1},
        "holdout": {"group": "everything", "share": 0.1},
    },
}

Variants = dict[str, dict[str, str]]
"""User → experiment → variant."""


def show(directory: Path) -> int:
    """Exit status 0 when all three agree on every user."""
    with stage(directory) as made, made.services(2) as (first, second):
        _start(first)
        users = [f"visitor-{number}" for number in range(USERS)]
        _wait_until_known(second, users[0])
        flags = _by_flags(first, users)
        tokens: dict[str, tuple[str, str]] = {}
        served = _served(second, users, tokens)
        logged = _logged(made, second, tokens)
    together = sum(flags[user] == served[user] for user in users)
    in_log = sum(logged.get(user, {}) == served[user] for user in users)
    print(f"{USERS} users, {len(EXPERIMENTS)} experiments, two services:")
    for key in EXPERIMENTS:
        counts = Counter(found.get(key, OUTSIDE) for found in served.values())
        print(f"  {key:8} " + ", ".join(f"{variant} {number}" for variant, number in sorted(counts.items())))
    print(f"  OpenFeature client and the other service's recommendations agree  {together}")
    print(f"  the event log agrees with the recommendations                     {in_log}")
    return 0 if together == in_log == USERS else 1


def _start(client: httpx.Client) -> None:
    for key, body in EXPERIMENTS.items():
        client.put(f"/v1/experiments/{key}", json=body).raise_for_status()
        client.post(f"/v1/experiments/{key}:start").raise_for_status()


def _wait_until_known(client: httpx.Client, user: str) -> None:
    give_up_at = time.monotonic() + 10
    while True:
        running = client.post("/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": user}}).json()["flags"]
        if len(running) == len(EXPERIMENTS):
            return
        if time.monotonic() > give_up_at:
            raise RuntimeError("the other service does not know the experiments")
        time.sleep(0.05)


def _by_flags(client: httpx.Client, users: Sequence[str]) -> Variants:
    provider = OFREPProvider(str(client.base_url))
    api.set_provider_and_wait(provider)
    try:
        asked = api.get_client()
        found: Variants = {}
        for user in users:
            context = EvaluationContext(user)
            variants = {key: asked.get_string_value(key, OUTSIDE, context) for key in EXPERIMENTS}
            found[user] = {key: variant for key, variant in variants.items() if variant != OUTSIDE}
        return found
    finally:
        provider.session.close()
        api.clear_providers()


def _served(client: httpx.Client, users: Sequence[str], tokens: dict[str, tuple[str, str]]) -> Variants:
    """The variants in the answers; `tokens` is given each user's token and first item."""
    found: Variants = {}
    for some in _parts(users, 100):
        body = {"requests": [{"user_id": user, "limit": 1} for user in some]}
        answer = client.post("/v1/recommendations:batch", json=body)
        answer.raise_for_status()
        for user, result in zip(some, answer.json()["results"], strict=True):
            found[user] = {arm["experiment"]: arm["variant"] for arm in result.get("experiments", ())}
            tokens[user] = (result["recommendation_id"], result["items"][0]["id"])
    return found


def _logged(made: Stage, client: httpx.Client, tokens: dict[str, tuple[str, str]]) -> Variants:
    """Every user's list is shown to the user; what the log has of that."""
    for some in _parts(list(tokens), 500):
        shown = [event(user, tokens[user][1], "impression") | {"recommendation_id": tokens[user][0]} for user in some]
        send(client, *shown)
    give_up_at = time.monotonic() + 120
    while (log := snapshot(made.state_dir / "events")).rows < len(tokens):
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"the log has {log.rows} rows of {len(tokens)}")
        time.sleep(0.5)
    columns = ["user_id", "attribution", "experiments"]
    rows = [row for path in log.files for row in pq.read_table(path, columns=columns).to_pylist()]
    return {
        row["user_id"]: {arm["experiment"]: arm["variant"] for arm in row["experiments"] or ()}
        for row in rows
        if row["attribution"] == "valid"
    }


def _parts(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    yield from (values[start : start + size] for start in range(0, len(values), size))
