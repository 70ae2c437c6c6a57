"""A thousand times an event to process A and at once a request to process B, which holds a cached list."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from tests.shows.stage import event, recommended, send, stage

ROUNDS = 1000
USERS = 20


def show(directory: Path) -> int:
    """Exit status 0 when no answer was from before its event."""
    stale = degraded = uncached = 0
    milliseconds: list[float] = []
    with stage(directory) as ready, ready.services(2) as (a, b):
        users = [f"reader-{uuid4().hex[:8]}" for _ in range(USERS)]
        for number in range(ROUNDS):
            user = users[number % USERS]
            # B computes and caches this list; its first item is then consumed through A.
            first = recommended(b, user, limit=20)["items"][0]["id"]
            uncached += recommended(b, user, limit=20)["items"][0]["id"] != first
            send(a, event(user, first, "like" if number % 3 else "skip"))
            asked = time.perf_counter()
            answer = recommended(b, user, limit=20)
            milliseconds.append(1000 * (time.perf_counter() - asked))
            stale += first in {item["id"] for item in answer["items"]}
            degraded += bool(answer["degraded"])
    milliseconds.sort()
    print(f"{ROUNDS} × (event to A, then request to B), {USERS} users:")
    print(f"  stale answers                        {stale}")
    print(f"  degraded answers                     {degraded}")
    print(f"  lists that changed without an event  {uncached}")
    print(f"  request after the event: median {median(milliseconds):.1f} ms, p99 {milliseconds[989]:.1f} ms")
    return 1 if stale or degraded or uncached else 0
