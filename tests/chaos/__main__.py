"""`make chaos`: rounds of kills under load; exits with 1 when an acknowledged event is lost or doubled in the log."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import redis

from recsvc.bundle.registry import Registry
from recsvc.eventlog.reader import snapshot
from tests.builders import publish_bundle
from tests.chaos.clients import Client
from tests.chaos.service import Service

_PARTS = ("service", "worker", "redis")
_PATIENCE_SECONDS = 60.0


@dataclass
class Totals:
    acknowledged: int
    refused: int
    broken: int

    @classmethod
    def of(cls, clients: list[Client]) -> Totals:
        return cls(
            sum(len(client.acknowledged) for client in clients),
            sum(client.refused for client in clients),
            sum(client.broken for client in clients),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make chaos", description="Kills under load, and counts the events.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}; {arguments.rounds} rounds, {arguments.clients} clients", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        sys.exit(0 if run(Path(directory), arguments.rounds, arguments.clients, arguments.seed) else 1)


def run(directory: Path, rounds: int, n_clients: int, seed: int) -> bool:
    """Whether every acknowledged event is in the log once, and nothing was put aside."""
    chance = random.Random(seed)
    Registry(directory / "models").promote(publish_bundle(directory / "models"))
    with Service(directory) as service:
        clients = [Client(number, service.port, seed) for number in range(n_clients)]
        for client in clients:
            client.start()
        _await(lambda: all(client.acknowledged for client in clients), "the first events are acknowledged", service)
        _print_head()
        for number, part in enumerate(_victims(rounds, chance), start=1):
            _round(number, part, service, clients, chance)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(_PATIENCE_SECONDS)
            assert not client.is_alive(), f"a client still waits for its answer:\n{service.tail()}"
        began = time.monotonic()
        _await(lambda: service.waiting()[0] == 0, "the streams are empty", service)
        drained = time.monotonic() - began
        dead = service.waiting()[1]
    return _verdict(service, clients, drained, dead)


def _victims(rounds: int, chance: random.Random) -> list[str]:
    victims = [_PARTS[number % len(_PARTS)] for number in range(rounds)]
    chance.shuffle(victims)
    return victims


def _round(number: int, part: str, service: Service, clients: list[Client], chance: random.Random) -> None:
    before = Totals.of(clients)
    time.sleep(chance.uniform(0.2, 3.0))
    service.kill(part)
    killed_at = time.time()
    if part == "service":
        service.start()
    _await(lambda: max(client.last_success_began for client in clients) > killed_at, "events are accepted", service)
    accepts = time.time() - killed_at
    _await(lambda: service.find("worker") is not None and service.find("redis") is not None, "all run again", service)
    # A file of the worker that was about to end with its service is not yet recovery.
    _await(lambda: service.wrote_since(killed_at + 0.5), "events are written", service)
    writes = time.time() - killed_at
    after = Totals.of(clients)
    print(
        f"{number:5d}  {part:8s}{after.acknowledged - before.acknowledged:14d}{after.refused - before.refused:8d}"
        f"{after.broken - before.broken:8d}{accepts:16.2f}{writes:15.2f}",
        flush=True,
    )


def _print_head() -> None:
    print("round  killed    acknowledged     503  broken  accepts after s  writes after s", flush=True)


def _verdict(service: Service, clients: list[Client], drained: float, dead: int) -> bool:
    acknowledged = Counter(name for client in clients for name in client.acknowledged)
    files = snapshot(service.state_dir / "events").files
    logged = Counter(name for file in files for name in pq.read_table(file)["event_id"].to_pylist())
    lost = acknowledged.keys() - logged.keys()
    doubled = [name for name, count in logged.items() if count > 1]
    strange = logged.keys() - acknowledged.keys()
    rejected = [result for client in clients for result in client.rejected]
    totals = Totals.of(clients)
    retried = sum(client.duplicates for client in clients)
    print(f"\nacknowledged {len(acknowledged)} events, {retried} of them as duplicates, when a call was sent again")
    print(f"failed calls {totals.refused} were answered 503, {totals.broken} broke off; all were sent again")
    print(
        f"in the log   {sum(logged.values())} rows in {len(files)} files, {len(strange)} of events nobody acknowledged"
    )
    print(f"drained      in {drained:.1f} s, {dead} dead letters, {len(rejected)} rejected {rejected[:2] or ''}")
    print(f"lost         {len(lost)} {sorted(lost)[:5] if lost else ''}")
    print(f"doubled      {len(doubled)} {sorted(doubled)[:5] if doubled else ''}", flush=True)
    return not (lost or doubled or strange or dead or rejected)


def _await(condition: Callable[[], bool], what: str, service: Service) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        try:
            if condition():
                return
        except redis.RedisError:
            pass  # it is just being started again
        time.sleep(0.02)
    raise AssertionError(f"in {_PATIENCE_SECONDS:.0f} s it did not come about that {what}:\n{service.tail()}")


if __name__ == "__main__":
    main()
