"""The first recommendation after an event, over real HTTP, against the cached answer of the same user."""

from __future__ import annotations

import http.client
import json
from typing import Final

import numpy as np

from tests.bench.connection import Connection
from tests.bench.measurement import Context, Measurement
from tests.bench.service import Service, publish_champion

_USERS: Final = 2_000
_ITEMS: Final = 41_000
_FACTORS: Final = 128
_WARM_UP_USERS: Final = 50
_REACTIONS: Final = 1_000
_EVENTS_BEFORE: Final = 20
_TARGET_MILLISECONDS: Final = 10.0


def measure(context: Context) -> list[Measurement]:
    """p50 and p99 of the request after an event, of the next one (cached), and what one takes of the other.

    Every user has 5 to 20 items of history and 21 recent events, each on an item of its own; a reaction is a like,
    then the request: the clock runs from sending the request to the last byte. The list must no longer name the item.
    """
    models, state = context.scratch / "models", context.scratch / "state"
    users = publish_champion(models, _USERS, _ITEMS, _FACTORS)
    rng = np.random.default_rng(0)
    reactions: list[float] = []
    cached: list[float] = []
    with Service(models, state) as service:
        connection, sender = Connection(service.port), _Sender(service.port)
        try:
            for number in range(_WARM_UP_USERS + _REACTIONS):
                user = users[number]
                target = f"/v1/users/{user}/recommendations?limit=20"
                sender.like(user, [f"v{row:06}" for row in rng.choice(_ITEMS, _EVENTS_BEFORE, replace=False)])
                before = _items(connection.get(target)[1])
                liked = before[0]
                sender.like(user, [liked])
                _, body, taken = connection.get(target)
                if liked in _items(body):
                    raise AssertionError(f"{user} liked {liked}, and the next list still has it")
                if number >= _WARM_UP_USERS:
                    reactions.append(taken)
                    cached.append(connection.get(target)[2])
        finally:
            connection.close()
            sender.close()
    ratio = float(np.median(reactions) / np.median(cached))
    name = f"first recommendation after an event, {_ITEMS:,} items × {_FACTORS}"
    return [
        *_lines(name, reactions, _TARGET_MILLISECONDS),
        *_lines("the same list from the cache", cached, None),
        Measurement(f"{name}: p50 / cached p50", "×", ratio),
    ]


class _Sender:
    """Sends events over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._sent = 0

    def like(self, user: str, items: list[str]) -> None:
        """One like of each item, in one call."""
        events = []
        for item in items:
            self._sent += 1
            events.append({"event_id": f"reaction-{self._sent}", "type": "like", "user_id": user, "item_id": item})
        self._connection.request(
            "POST", "/v1/events", json.dumps({"events": events}), {"Content-Type": "application/json"}
        )
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 202 or any(result["status"] != "accepted" for result in json.loads(body)["results"]):
            raise AssertionError(f"events were not accepted: {answer.status} {body[:300]!r}")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _items(body: bytes) -> list[str]:
    answer = json.loads(body)
    if len(answer["items"]) != 20 or answer["degraded"]:
        raise AssertionError(f"{len(answer['items'])} items, degraded {answer['degraded']}")
    return [item["id"] for item in answer["items"]]


def _lines(name: str, milliseconds: list[float], target: float | None) -> list[Measurement]:
    p50, p99 = (float(value) for value in np.percentile(milliseconds, [50, 99]))
    details = {"requests": len(milliseconds)}
    return [
        Measurement(f"{name}: p50", "ms", p50, details=details),
        Measurement(f"{name}: p99", "ms", p99, target=target, details=details),
    ]
