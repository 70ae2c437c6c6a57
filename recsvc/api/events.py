"""What users do: `/v1/events`, the path that has to be short."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from recsvc.api.auth import BEARER, Keyring, refuse_other_origins
from recsvc.api.dependencies import service_of
from recsvc.api.errors import ApiError, NotJson, problem_responses
from recsvc.api.event_schemas import MAX_EVENTS, Beacon, Event, EventResults, Events
from recsvc.api.serving_errors import InvalidElement, rejected
from recsvc.api.strict_json import parse_strictly
from recsvc.eventlog.event import LogEvent
from recsvc.events.errors import EventsRefused, TimeRefused

_SCOPE: Final = "events"
_PLAIN: Final = "text/plain"
_JSON_TYPE: Final = re.compile(r"application/[\w.-]+\+json", re.ASCII)


class LeanRoute(APIRoute):
    """Hands the endpoint the bare request: it reads, checks and authorises for itself, at a fraction of the time."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class EventsNotAccepted(ApiError):  # noqa: N818
    """503: not all events of the call could be stored."""

    status, kind, title = 503, "events-not-accepted", "Events not accepted"


router = APIRouter(tags=["events"], route_class=LeanRoute)


@router.post(
    "/v1/events",
    status_code=202,
    response_model=EventResults,
    responses=problem_responses(400, 401, 403, 413, 415, 422, 503),
    openapi_extra={
        "security": [{BEARER.scheme_name: []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": Events.model_json_schema()},
                _PLAIN: {"schema": Beacon.model_json_schema()},
            },
        },
    },
    summary="Say what users did",
)
async def send_events(request: Request) -> Response:
    """Up to 1,000 events, and one result for each, in their order.

    What is accepted is on disk and counts in the user's next list. After a 503 send the same call again: what had been
    stored comes back as a duplicate.
    """
    elements = await _elements(request)
    service = service_of(request)
    received = service.clock()
    results: list[dict[str, Any]] = []
    events: list[LogEvent] = []
    places: list[int] = []
    for place, element in enumerate(elements):
        try:
            event = Event.model_validate(element).logged(received)
        except ValidationError as exc:
            results.append(rejected(element, "event_id", InvalidElement.of(exc, f"#/events/{place}")))
        except TimeRefused as exc:
            results.append(rejected(element, "event_id", InvalidElement.at(f"#/events/{place}/timestamp", str(exc))))
        else:
            results.append({"event_id": event.event_id, "status": "accepted"})
            events.append(event)
            places.append(place)
    try:
        duplicates = await service.intake.take(events, received)
    except EventsRefused as exc:
        raise EventsNotAccepted(str(exc), headers={"Retry-After": str(exc.retry_after_seconds)}) from exc
    if len(events) < len(results):
        service.telemetry.events.labels("rejected").inc(len(results) - len(events))
    for place, duplicate in zip(places, duplicates, strict=True):
        if duplicate:
            results[place]["status"] = "duplicate"
    return Response(orjson.dumps({"results": results}), 202, media_type="application/json")


async def _elements(request: Request) -> list[Any]:
    """The events as they were sent, after the origin, the key and the envelope were found right."""
    refuse_other_origins(request)
    keyring: Keyring = request.app.state.keyring
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    authorization = request.headers.get("authorization")
    beacon = media_type == _PLAIN
    # Only a beacon has its key in the body, which has to be read for it.
    key_inside = beacon and authorization is None and not keyring.open
    if not key_inside:
        keyring.authorise(authorization, _SCOPE)
    if not beacon and media_type != "application/json" and not _JSON_TYPE.fullmatch(media_type):
        raise NotJson
    try:
        body = _parsed(await request.body())
    except (RequestValidationError, HTTPException):
        if key_inside:
            keyring.authorise(None, _SCOPE)
        raise
    if key_inside:
        keyring.authorise(_key_of(body), _SCOPE)
    elements = body.get("events") if type(body) is dict and len(body) == 1 else None
    if type(elements) is list and 0 < len(elements) <= MAX_EVENTS:
        return elements
    return _validated(body, Beacon if beacon else Events)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # a lone surrogate is one event's mistake; and what is no JSON is told of as everywhere else
    try:
        return parse_strictly(body)
    except json.JSONDecodeError as exc:
        what = {"type": "json_invalid", "loc": ("body", exc.pos), "msg": "", "input": {}, "ctx": {"error": exc.msg}}
        raise RequestValidationError([what]) from exc
    except (ValueError, RecursionError) as exc:
        raise HTTPException(400) from exc


def _key_of(body: Any) -> str | None:
    """The Authorization header that the body's `key` stands for."""
    key = body.get("key") if isinstance(body, dict) else None
    return f"Bearer {key}" if isinstance(key, str) else None


def _validated(body: Any, model: type[Events]) -> list[Any]:
    try:
        return model.model_validate(body).events
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in found]) from exc
