"""`python -m tests.bench.load.client`: GET requests over kept-alive connections, closed or open loop, from a process of
its own, so that what it spends is nobody else's. Prints one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter, deque
from typing import Any, Final

import numpy as np
import uvloop

_GIVE_UP_SECONDS: Final = 30.0


class Lane(asyncio.Protocol):
    """One connection, at most one request on its way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self.due = 0.0
        """When the request on its way was meant to be sent."""
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def send(self, request: bytes, due: float) -> None:
        """Sends it; `due` is when its clock starts."""
        self.due, self.busy = due, True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        at = data.find(b"content-length: ", 0, end)
        length = int(data[at + 16 : data.index(b"\r\n", at)])
        if len(data) < end + 4 + length:
            self._buffer = data
            return
        self._buffer = b""
        self.busy = False
        self._load.answered(self, int(data[9:12]), data[end + 4 :])

    def connection_lost(self, _reason: Exception | None) -> None:
        self._load.lost(self)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()


class Load:
    """Sends requests in their order, again from the first after the last, and notes status and milliseconds."""

    def __init__(self, requests: list[bytes], seconds: float, arrivals: np.ndarray | None, mark: bytes) -> None:
        """`arrivals` seconds from the start (open loop), or None: each connection sends as soon as it is free. The
        body of a 200 has to hold `mark`."""
        self._requests, self._seconds, self._arrivals, self._mark = requests, seconds, arrivals, mark
        self._next = 0
        self._free: deque[Lane] = deque()
        self._waiting: deque[float] = deque()
        self._lanes: list[Lane] = []
        self._ended = False
        self.milliseconds: list[float] = []
        self.ends: list[float] = []
        self.refused_milliseconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.wrong = 0
        self.lost_connections = 0

    async def run(self, port: int, connections: int) -> float:
        """Connects and runs; returns the seconds it took."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, lane = await loop.create_connection(lambda: Lane(self), "127.0.0.1", port)
            self._lanes.append(lane)
        self._started = time.perf_counter()
        if self._arrivals is None:
            for lane in self._lanes:
                self._send(lane, time.perf_counter())
            await asyncio.sleep(self._seconds)
        else:
            self._free.extend(self._lanes)
            for arrival in self._arrivals:
                pause = self._started + arrival - time.perf_counter()
                if pause > 0:
                    await asyncio.sleep(pause)
                elif len(self._waiting) % 64 == 63:
                    await asyncio.sleep(0)  # behind: let the answers in
                due = self._started + float(arrival)
                if self._free:
                    self._send(self._free.popleft(), due)
                else:
                    self._waiting.append(due)
        self._ended = True
        give_up_at = time.perf_counter() + _GIVE_UP_SECONDS
        # An event would cost each answer something.
        while (  # noqa: ASYNC110
            self._waiting or any(lane.busy for lane in self._lanes)
        ) and time.perf_counter() < give_up_at:
            await asyncio.sleep(0.005)
        taken = time.perf_counter() - self._started
        for lane in self._lanes:
            lane.close()
        return taken

    def answered(self, lane: Lane, status: int, body: bytes) -> None:
        """Notes an answer and gives the connection its next request."""
        now = time.perf_counter()
        self.statuses[status] += 1
        if status == 200:
            self.milliseconds.append((now - lane.due) * 1e3)
            self.ends.append(now - self._started)
            self.wrong += self._mark not in body
        else:
            self.refused_milliseconds.append((now - lane.due) * 1e3)
        if self._arrivals is None:
            if not self._ended:
                self._send(lane, now)
        elif self._waiting:
            self._send(lane, self._waiting.popleft())
        else:
            self._free.append(lane)

    def lost(self, lane: Lane) -> None:
        """A connection that the server closed."""
        if lane.busy:
            lane.busy = False
            self.lost_connections += 1

    def _send(self, lane: Lane, due: float) -> None:
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        lane.send(request, due)


def main() -> None:
    """Targets (paths) come on standard input, one a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--core", type=int, default=-1)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, at random (open loop)")
    parser.add_argument("--mark", default="", help="what the body of every 200 has to hold")
    parser.add_argument("--every", action="store_true", help="print every latency, not only the percentiles")
    given = parser.parse_args()
    if given.core >= 0:
        os.sched_setaffinity(0, {given.core})
    requests = [f"GET {line.strip()} HTTP/1.1\r\nHost: bench\r\n\r\n".encode("ascii") for line in sys.stdin]
    arrivals = None
    if given.rate:
        gaps = np.random.default_rng(7).exponential(1 / given.rate, int(given.rate * given.seconds))
        arrivals = np.cumsum(gaps)
    load = Load(requests, given.seconds, arrivals, given.mark.encode("ascii"))
    cpu = time.process_time()
    seconds = uvloop.run(load.run(given.port, given.connections))
    taken = np.array(load.milliseconds or [float("nan")])
    result: dict[str, Any] = {
        "seconds": seconds,
        "answered": len(load.milliseconds),
        "statuses": dict(load.statuses),
        "wrong": load.wrong,
        "lost_connections": load.lost_connections,
        "percentiles": {str(q): float(np.percentile(taken, q)) for q in (50, 90, 99, 99.9, 100)},
        "refused_p99": float(np.percentile(load.refused_milliseconds, 99)) if load.refused_milliseconds else None,
        "client_cpu_seconds": time.process_time() - cpu,
    }
    if given.every:
        result |= {"milliseconds": load.milliseconds, "ends": load.ends}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
