"""Assigning a user to an experiment, against the bare hash written out in plain Python."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime

from recsvc.eventlog.event import Arm
from recsvc.experiments import changes
from recsvc.experiments.assignment import Assigner, Who
from recsvc.experiments.definition import Definition, Experiment
from recsvc.tokens import TokenSigner
from tests.bench.measurement import Context, Measurement, of_samples, per_call_microseconds, ratio_of_medians

_IDS = 1_000
_TARGET_MICROSECONDS = 5.0


def measure(context: Context) -> list[Measurement]:
    """One experiment and five of them, for ids of 36 characters; and a token with and without experiments."""
    users = itertools.cycle([secrets.token_hex(18) for _ in range(_IDS)])
    one = Assigner([_running(0)])
    five = Assigner([_running(number) for number in range(5)])
    seed = one.experiments["experiment-0"].phases[0].seed
    ours, bare = per_call_microseconds(lambda: one.assign(Who(next(users))), lambda: _hashed(seed + next(users)))
    several, _ = per_call_microseconds(lambda: five.assign(Who(next(users))), lambda: None)
    return [
        of_samples("assign a user, one experiment", "µs", ours, target=_TARGET_MICROSECONDS, details={"hash_us": bare}),
        Measurement("assign a user / the hash alone, seed and id", "×", ratio_of_medians(ours, bare)),
        of_samples("assign a user, five experiments", "µs", several, target=5 * _TARGET_MICROSECONDS),
        *_tokens(),
    ]


def _tokens() -> list[Measurement]:
    signer = TokenSigner([b"k" * 32])
    arms = tuple(Arm(f"experiment-{number}", 1, "treatment") for number in range(5))

    def issue(experiments: tuple[Arm, ...]) -> str:
        version = "20261122T050100Z-3f9ac2"
        return signer.issue(
            issued=1_790_000_000, placement="home", model_version=version, user_id="u1", experiments=experiments
        )

    with_arms, plain = per_call_microseconds(lambda: issue(arms), lambda: issue(()))
    return [
        of_samples("sign a token, no experiment", "µs", plain),
        of_samples("sign a token, five experiments", "µs", with_arms),
    ]


def _running(number: int) -> Experiment:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    variants = [{"key": "control"}, {"key": "treatment"}]
    definition = Definition.model_validate({"key": f"experiment-{number}", "variants": variants})
    return changes.started(changes.created(definition, now), now)


def _hashed(text: str) -> float:
    return _fnv(str(_fnv(text.encode())).encode()) % 10_000 / 10_000


def _fnv(data: bytes) -> int:
    state = 0x811C9DC5
    for byte in data:
        state = ((state ^ byte) * 0x01000193) & 0xFFFFFFFF
    return state
