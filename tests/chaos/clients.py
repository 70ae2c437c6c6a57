"""Callers that send events and do not give up: a call that fails is sent again, with the same event ids."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from typing import Any

_PAUSE_SECONDS = 0.05


class Client(threading.Thread):
    """One caller. `acknowledged` event ids were answered 202, each as accepted or duplicate."""

    def __init__(self, number: int, port: int, seed: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._number = number
        self._port = port
        self._random = random.Random(f"{seed}-{number}")
        self._connection: http.client.HTTPConnection | None = None
        self._sent = 0
        self.stopping = threading.Event()
        self.acknowledged: list[str] = []
        self.refused = 0
        self.broken = 0
        self.duplicates = 0
        self.rejected: list[Any] = []
        self.last_success_began = 0.0

    def run(self) -> None:
        while not self.stopping.is_set():
            events = self._events()
            while (results := self._attempt(events)) is None:
                time.sleep(_PAUSE_SECONDS)
            for event, result in zip(events, results, strict=True):
                if result["status"] in {"accepted", "duplicate"} and result["event_id"] == event["event_id"]:
                    self.acknowledged.append(event["event_id"])
                    self.duplicates += result["status"] == "duplicate"
                else:
                    self.rejected.append(result)

    def _events(self) -> list[dict[str, Any]]:
        events = []
        for _ in range(self._random.randint(1, 60)):
            self._sent += 1
            events.append(
                {
                    "event_id": f"{self._number}-{self._sent}",
                    "type": self._random.choice(["view", "like", "impression", "skip"]),
                    "user_id": f"user-{self._random.randint(1, 3000)}",
                    "item_id": f"item-{self._random.randint(1, 500)}",
                }
            )
        return events

    def _attempt(self, events: list[dict[str, Any]]) -> list[Any] | None:
        began = time.time()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            body = json.dumps({"events": events})
            self._connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.broken += 1
            self._drop()
            return None
        if answer.status == 202:
            self.last_success_began = began
            results: list[Any] = json.loads(content)["results"]
            return results
        if answer.status == 503:
            self.refused += 1
            return None
        raise AssertionError(f"a call was answered {answer.status}: {content[:500]!r}")

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
