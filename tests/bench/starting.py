"""From the command to the first request that is answered from a model."""

from __future__ import annotations

from tests.bench.measurement import Context, Measurement, of_samples
from tests.bench.service import Service, publish_champion

_STARTS = 5
_USERS, _ITEMS, _FACTORS = 2_000, 3_000, 64


def measure(context: Context) -> list[Measurement]:
    """Seconds from starting `python -m recsvc` to /readyz answering 200, with a bundle as large as the sample's.

    The start before the counted ones verifies the bundle in full; the others find the receipt of that.
    """
    models, state = context.scratch / "models", context.scratch / "state"
    publish_champion(models, _USERS, _ITEMS, _FACTORS)
    seconds = []
    for _ in range(_STARTS + 1):
        with Service(models, state) as service:
            seconds.append(service.ready_seconds)
    first, *counted = seconds
    return [
        of_samples(
            "service start to ready",
            "s",
            counted,
            target=2.0,
            notes=[f"the first start on a new state directory took {first:.2f} s"],
            details={"first_start_seconds": first, "users": _USERS, "items": _ITEMS, "factors": _FACTORS},
        )
    ]
