"""Assigning a user to an experiment, against the bare hash written out in plain Python.

In CPU time of the thread: there is no waiting in it, and neighbours on the machine are not counted.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from recsvc.eventlog.event import Arm
from recsvc.experiments import changes
from recsvc.experiments.assignment import Assigner, Who
from recsvc.experiments.definition import Definition, Experiment
from recsvc.tokens import Mark, TokenSigner
from tests.bench.measurement import Context, Measurement, of_samples, ratio_of_medians

_IDS = 1_000
_ROUNDS, _CALLS = 25, 2_000
_TARGET_MICROSECONDS = 5.0


def measure(context: Context) -> list[Measurement]:
    """One experiment and five of them, for ids of 36 characters; and tokens without and with experiments and marks."""
    users = itertools.cycle([Who(secrets.token_hex(18)) for _ in range(_IDS)])
    one = Assigner([_running(0)])
    five = Assigner([_running(number) for number in range(5)])
    seed = one.experiments["experiment-0"].phases[0].seed
    ours = _microseconds(lambda: one.assign(next(users)))
    bare = _microseconds(lambda: _hashed(seed + next(users).user_id))
    several = _microseconds(lambda: five.assign(next(users)))
    return [
        of_samples("assign a user, one experiment", "µs", ours, target=_TARGET_MICROSECONDS, details={"hash_us": bare}),
        Measurement("assign a user / the hash alone, seed and id", "×", ratio_of_medians(ours, bare)),
        of_samples("assign a user, five experiments", "µs", several, target=5 * _TARGET_MICROSECONDS),
        *_tokens(),
    ]


def _tokens() -> list[Measurement]:
    signer = TokenSigner([b"k" * 32])
    arms = tuple(Arm(f"experiment-{number}", 1, "treatment") for number in range(5))
    marks = [(f"item-{number}", Mark(propensity=0.9)) for number in range(20)]

    def issue(experiments: tuple[Arm, ...], marked: list[tuple[str, Mark]]) -> bytes:
        version = "20261122T050100Z-3f9ac2"
        stamp = signer.stamp(
            placement="home", model_version=version, user_id="u1", experiments=experiments, marks=marked
        )
        return stamp.issue(1_790_000_000)

    return [
        of_samples("sign a token, no experiment", "µs", _microseconds(lambda: issue((), []))),
        of_samples("sign a token, five experiments", "µs", _microseconds(lambda: issue(arms, []))),
        of_samples("the same, with propensities of 20 items", "µs", _microseconds(lambda: issue(arms, marks))),
    ]


def _running(number: int) -> Experiment:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    variants = [{"key": "control"}, {"key": "treatment"}]
    definition = Definition.model_validate({"key": f"experiment-{number}", "variants": variants})
    return changes.started(changes.created(definition, now), now)


def _microseconds(call: Callable[[], object]) -> list[float]:
    """Microseconds a call, one sample a round."""
    samples = []
    for _ in range(_ROUNDS):
        started = time.thread_time()
        for _ in range(_CALLS):
            call()
        samples.append((time.thread_time() - started) / _CALLS * 1e6)
    return samples


def _hashed(text: str) -> float:
    return _fnv(str(_fnv(text.encode())).encode()) % 10_000 / 10_000


def _fnv(data: bytes) -> int:
    state = 0x811C9DC5
    for byte in data:
        state = ((state ^ byte) * 0x01000193) & 0xFFFFFFFF
    return state
