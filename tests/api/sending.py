"""Events for tests, and the calls that send them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from redis import Redis

from recsvc.api.event_schemas import EventResults
from recsvc.eventlog.event import LogEvent, decode
from recsvc.eventlog.position import partition_of
from recsvc.store.keys import log_key
from tests.running import RunningService


def fresh(prefix: str) -> str:
    """An id that no other test uses."""
    return f"{prefix}-{uuid4().hex[:12]}"


def event(user: str, **fields: Any) -> dict[str, Any]:
    """A like of v001, changed and added to by `fields`; what is None is left out."""
    whole = {"event_id": fresh("e"), "type": "like", "user_id": user, "item_id": "v001"} | fields
    return {name: value for name, value in whole.items() if value is not None}


def send(service: RunningService, *events: Any) -> list[Any]:
    """The results of a call that is answered 202."""
    answer = service.client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    EventResults.model_validate(answer.json())
    results: list[Any] = answer.json()["results"]
    assert len(results) == len(events)
    return results


def statuses(results: list[Any]) -> list[str]:
    return [result["status"] for result in results]


def stored(redis: Redis, user: str) -> list[LogEvent]:
    """The user's entries in the stream of the user's partition, oldest first."""
    entries = redis.xrange(log_key(partition_of(user)))
    return [logged for _, fields in entries if (logged := decode(fields[b"e"])).user_id == user]  # type: ignore[union-attr]
