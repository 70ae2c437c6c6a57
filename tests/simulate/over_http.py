"""The real service as the simulation's server of lists: requests and events over HTTP, many at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import quote, urlsplit

import numpy as np
import orjson

from recsvc.bundle.types import Int64
from recsvc.events.schema import EVENT_TYPES
from tests.simulate.clocked import SharedClock
from training.sample.behaviour import Acts
from training.sample.feed import SLOTS, Impressions
from training.sample.world import DAY_SECONDS
from training.simulate.community import PAST_DAYS, Community

_AT_A_TIME: Final = 12
_PATIENCE_SECONDS: Final = 60
_VISITS_A_CALL: Final = 40


class HttpServer:
    """Moves the clock, asks for lists and sends events; `arm` has the variant by member, "" for those in none."""

    def __init__(self, url: str, clock: SharedClock, community: Community, variant: str | None = None) -> None:
        """`variant`, as `experiment:variant`: everybody gets this one, whatever the experiment would say."""
        self._address = urlsplit(url).netloc
        self._threads = ThreadPoolExecutor(_AT_A_TIME)
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []
        self._clock = clock
        self._community = community
        self._rows = {item_id: row for row, item_id in enumerate(community.item_ids)}
        self._query = f"limit={SLOTS}" + ("" if variant is None else f"&variant={quote(variant)}")
        self._answers: list[Any] = []
        self._sent = 0
        self.arm = np.full(len(community.user_ids), "", object)
        self.degraded: dict[str, int] = {}

    def close(self) -> None:
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    @property
    def events_sent(self) -> int:
        return self._sent

    def set_time(self, time: float) -> None:
        """Days since the simulation began."""
        self._clock.set(self._community.people.begins.timestamp() + time * DAY_SECONDS)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The body of a successful answer."""
        connection = self._connection()
        content = None if body is None else orjson.dumps(body)
        connection.request(method, path, content, {} if content is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return orjson.loads(text)

    def lists(self, members: Int64, time: float) -> list[Int64]:
        self.set_time(time)
        ids = [self._community.user_ids[member] for member in members.tolist()]
        paths = [f"/v1/users/{user_id}/recommendations?{self._query}" for user_id in ids]
        self._answers = list(self._threads.map(lambda path: self.call("GET", path), paths))
        for member, answer in zip(members.tolist(), self._answers, strict=True):
            variants = [given["variant"] for given in answer.get("experiments", ())]
            self.arm[member] = variants[0] if variants else ""
            for what in answer["degraded"]:
                self.degraded[what] = self.degraded.get(what, 0) + 1
        return [np.array([self._rows[item["id"]] for item in answer["items"]], np.int64) for answer in self._answers]

    def happened(self, shown: Impressions, acts: Acts, time: float) -> None:
        self.set_time(time)
        calls: list[list[dict[str, Any]]] = [[] for _ in range(len(self._answers) // _VISITS_A_CALL + 1)]
        # In the order of time, and a visit in one call: what somebody does after an impression arrives after it.
        for row, visit in enumerate(shown.visit[acts.impression].tolist()):
            calls[visit // _VISITS_A_CALL].append(self._event(shown, acts, row))
        list(self._threads.map(self._send, filter(None, calls)))

    def _event(self, shown: Impressions, acts: Acts, row: int) -> dict[str, Any]:
        impression = int(acts.impression[row])
        position = int(shown.position[impression]) - 1
        answer = self._answers[int(shown.visit[impression])]
        item = answer["items"][position]
        value = float(acts.value[row])
        milliseconds = int(acts.time[row]) - PAST_DAYS * round(DAY_SECONDS * 1000)
        self._sent += 1
        event = {
            "event_id": f"sim-{self._sent}",
            "type": EVENT_TYPES[acts.type[row]],
            "user_id": self._community.user_ids[shown.user[impression]],
            "item_id": item["id"],
            "timestamp": (self._community.people.begins + timedelta(milliseconds=milliseconds)).isoformat(),
            "recommendation_id": answer["recommendation_id"],
            "session_id": answer["recommendation_id"][-16:],
            "position": position,
            "source": item["source"],
        }
        return event if np.isnan(value) else event | {"value": value}

    def _send(self, events: list[dict[str, Any]]) -> None:
        answer = self.call("POST", "/v1/events", {"events": events})
        wrong = [result for result in answer["results"] if result["status"] != "accepted"]
        if wrong:
            raise RuntimeError(f"{len(wrong)} of {len(events)} events were not accepted, the first: {wrong[0]}")

    def _connection(self) -> HTTPConnection:
        """The calling thread's own."""
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection(self._address, timeout=_PATIENCE_SECONDS)
            self._connections.append(connection)
        return connection
