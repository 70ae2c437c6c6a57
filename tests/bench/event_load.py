"""The load of `tests.bench.events`, a process of its own: raw HTTP over kept-alive connections."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop

from recsvc.tokens import TokenSigner, load_or_create_key

_USERS: Final = 10_000
_ITEMS: Final = 3_000
_VERSION: Final = "20261122T050100Z-3f9ac2"
_STAMP: Final = b"@@@@@@@@@@@@"
"""Stands in a template for what makes event ids differ from call to call."""


def templates(events: int, signer: TokenSigner | None = None) -> list[bytes]:
    """Bodies of that many events, each of another user; together they go through all users. Ids of 24 characters.

    With a signer each has a `recommendation_id` of its user's.
    """
    bodies = []
    for first in range(0, _USERS, events):
        listed = [
            {
                "event_id": f"{_STAMP.decode()}-{place:011}",
                "type": "view",
                "user_id": f"user-{first + place:019}",
                "item_id": f"item-{(first * 7 + place) % _ITEMS:019}",
                "value": 0.75,
                "session_id": "session-0001",
            }
            for place in range(events)
        ]
        if signer is not None:
            for event in listed:
                event["recommendation_id"] = signer.issue(
                    issued=int(time.time()), placement="home", model_version=_VERSION, user_id=str(event["user_id"])
                )
        bodies.append(json.dumps({"events": listed}, separators=(",", ":")).encode("ascii"))
    return bodies


class Lane(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next, until `more` gives none."""

    def __init__(
        self, more: Callable[[], bytes | None], expected: bytes, marks: int, taken: list[float], interval: float
    ) -> None:
        """An answer has to start with `expected` and to hold `"accepted"` `marks` times; `taken` collects ms. A request
        goes out `interval` seconds after the one before, or at once when that is past."""
        self._more, self._expected, self._marks, self._taken = more, expected, marks, taken
        self._interval = interval
        self._buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._due = asyncio.get_running_loop().time()
        self._send()

    def _send(self) -> None:
        request = self._more()
        if request is None:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._taken.append((time.perf_counter() - self._sent) * 1e3)
        body = bytes(self._buffer[end + 4 :])
        if not head.startswith(self._expected) or body.count(b'"accepted"') != self._marks:
            self.done.set_exception(RuntimeError(f"{head[:60]!r} {body[:300]!r}"))
            self._transport.close()
            return
        self._buffer.clear()
        self._due += self._interval
        loop = asyncio.get_running_loop()
        if self._due > loop.time():
            loop.call_at(self._due, self._send)
        else:
            self._send()

    def connection_lost(self, _reason: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def requests_of(events: int, seconds: float, run: int, signer: TokenSigner | None = None) -> Callable[[], bytes | None]:
    """The next request, for so long: `events` events, or none of them: then /healthz is asked."""
    bodies, calls = templates(events, signer) if events else [], 0
    health = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
    head = b"POST /v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    until = time.perf_counter() + seconds

    def more() -> bytes | None:
        nonlocal calls
        if time.perf_counter() >= until:
            return None
        if not events:
            return health
        body = bodies[calls % len(bodies)].replace(_STAMP, b"%03d%09d" % (run, calls))
        calls += 1
        return head % len(body) + body

    return more


async def load(
    port: int, events: int, connections: int, more: Callable[[], bytes | None], rate: float
) -> dict[str, object]:
    """Seconds, and the milliseconds of each call. At `rate` events a second in all; 0: as fast as it goes."""
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    expected = b"http/1.1 202" if events else b"http/1.1 200"
    lanes = []
    interval = events * connections / rate if rate else 0.0
    started = time.perf_counter()
    for _ in range(connections):
        _, lane = await loop.create_connection(lambda: Lane(more, expected, events, taken, interval), "127.0.0.1", port)
        lanes.append(lane)
    await asyncio.gather(*(lane.done for lane in lanes))
    return {"seconds": time.perf_counter() - started, "milliseconds": taken}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "events", "connections", "run", "core"):
        parser.add_argument(name, type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--key", type=Path, help="of the tokens that the events bring")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0: as many as go")
    given = parser.parse_args()
    if given.core >= 0:
        os.sched_setaffinity(0, {given.core})
    signer = TokenSigner([load_or_create_key(given.key)]) if given.key else None
    more = requests_of(given.events, given.seconds, given.run, signer)
    print(json.dumps(uvloop.run(load(given.port, given.events, given.connections, more, given.rate))))


if __name__ == "__main__":
    main()
