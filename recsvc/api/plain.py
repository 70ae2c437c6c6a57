"""The short way to a recommendation that has to be made: plain requests are read here, past the framework.

To find and solve a route with a dozen annotated parameters takes the framework as long as a list takes to compute. A
plain request has valid values of the common parameters, a user id that needs no decoding, and a key that holds.
Whatever else is asked goes on to the route, which alone says what is wrong with a request; so does a page of another
origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import State
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from recsvc.api.dependencies import Service
from recsvc.api.errors import api_error_response
from recsvc.api.lean import JSON, ROUTE, body_of, keep, request_id_if_plain
from recsvc.api.middleware import RequestContextMiddleware, UnhandledErrorMiddleware
from recsvc.api.parameters import DEFAULT_LIMIT, FIELDS, MAX_CATEGORIES, MAX_EXCLUDED, checked_fields
from recsvc.api.serving_errors import api_error
from recsvc.events.schema import id_problem
from recsvc.serving.answer import Filters
from recsvc.serving.errors import ServingError
from recsvc.telemetry import Telemetry

_PATH: Final = re.compile(rb"/v1/users/([A-Za-z0-9._~@:-]{1,128})/recommendations")
_LIMIT: Final = re.compile(r"[1-9][0-9]?|100")  # 1 to MAX_LIMIT, in the one way to write it
_DEFAULT_LIMIT: Final = (str(DEFAULT_LIMIT),)
_MOST: Final = {"limit": 1, "cursor": 1, "category": MAX_CATEGORIES, "exclude": MAX_EXCLUDED, "fields": len(FIELDS)}
"""How often each parameter may stand in a plain request."""
_ASKED_KEY: Final = "recsvc.asked"
"""Where in the ASGI scope the request lies that was read."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plain request asks for."""

    user_id: str
    filters: Filters
    fields: list[str]


class PlainRecommendations:
    """Makes and answers plain recommendations, with the same id, metrics and errors as the route's. An ASGI app for
    the scopes that `takes` said yes to."""

    def __init__(self, state: State, telemetry: Telemetry) -> None:
        """`state` the app's."""
        self._state = state
        answering: ASGIApp = UnhandledErrorMiddleware(self._answer)
        if state.cors_origins:
            answering = CORSMiddleware(answering, state.cors_origins)  # no such page comes here, but answers vary
        self._app: ASGIApp = RequestContextMiddleware(answering, telemetry)

    def takes(self, scope: Scope) -> bool:
        """Whether the request, one for recommendations, is plain. It is noted in the scope then."""
        asked = asked_by(scope["raw_path"], scope["query_string"])
        if asked is None or request_id_if_plain(scope, self._state.keyring) is None:
            return False
        scope[_ASKED_KEY], scope["route"] = asked, self
        return True

    @property
    def path(self) -> str:
        """The template of the route, as metrics name it."""
        return ROUTE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        service: Service = self._state.service
        asked: Asked = scope[_ASKED_KEY]
        epoch = service.kept.epoch()
        try:
            answer = await service.recommender.recommend(asked.user_id, asked.filters)
        except ServingError as exc:
            await api_error_response(scope, api_error(exc, "#/query"))(scope, receive, send)
            return
        body = body_of(answer, asked.fields)
        headers = [(b"content-length", b"%d" % len(body)), JSON]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        keep(scope, service, answer, body, epoch)  # which nobody has to wait for


def asked_by(raw_path: bytes, query: bytes) -> Asked | None:
    """What a plain request asks for, None for one that is not."""
    path, given = _PATH.fullmatch(raw_path), _given(query)
    if path is None or given is None:
        return None
    categories, excluded = given.get("category", ()), given.get("exclude", ())
    (limit,), (cursor,) = given.get("limit", _DEFAULT_LIMIT), given.get("cursor", (None,))
    if _LIMIT.fullmatch(limit) is None or any(map(id_problem, (*categories, *excluded))):
        return None
    try:
        fields = checked_fields(given.get("fields", ()))
    except ValueError:
        return None
    return Asked(path[1].decode("ascii"), Filters(int(limit), tuple(categories), tuple(excluded), cursor), fields)


def _given(query: bytes) -> dict[str, list[str]] | None:
    """The values of each parameter, None where one of them is not plain, or is given too often."""
    given: dict[str, list[str]] = {}
    # As the framework's `QueryParams` does it, so that the same text has the same meaning.
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        given.setdefault(name, []).append(value)
    return None if any(len(values) > _MOST.get(name, 0) for name, values in given.items()) else given
