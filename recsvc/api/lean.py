"""The short way to a recommendation that was answered before: past the framework, when nothing has changed since.

What is answered here is what the route would answer, but for the token and the request's id, which are fresh. Whatever
is not plain goes on to the route: the first request for a page, a user with news, a page of another origin, a key that
does not hold, Redis away.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import orjson
from starlette.datastructures import State
from starlette.types import Scope, Send

from recsvc.api import rendering
from recsvc.api.auth import Keyring
from recsvc.api.dependencies import Service
from recsvc.api.errors import ApiError
from recsvc.api.middleware import fresh_request_id, own_request_id
from recsvc.serving.answer import Answer
from recsvc.telemetry import RouteTally, Telemetry

ROUTE: Final = "/v1/users/{user_id:path}/recommendations"
_ENDING: Final = b"/recommendations"
_BEFORE_TOKEN: Final = b'"recommendation_id":"'
JSON: Final = (b"content-type", b"application/json")
_VARY: Final = (b"vary", b"Origin")
"""Where pages of other origins are served, whoever stores an answer must not give it to them: it has none of their
headers."""


class LeanRecommendations:
    """Answers requests for kept pages."""

    def __init__(self, state: State, telemetry: Telemetry) -> None:
        """`state` the app's, where the service and its keys are found once it has started."""
        self._state = state
        self._tally = RouteTally(telemetry, "GET", ROUTE)

    def is_for(self, scope: Scope) -> bool:
        """Whether the request asks for recommendations."""
        return bool(scope["raw_path"].endswith(_ENDING)) and scope["method"] == "GET"

    async def answered(self, scope: Scope, send: Send) -> bool:
        """Whether the request was answered here; if not, nothing was sent."""
        if not self.is_for(scope):
            return False
        began = time.perf_counter()
        service: Service = self._state.service
        now = service.clock()
        kept = service.kept.get(_target(scope), now)
        if kept is None or not service.live.ready:
            return False
        request_id = request_id_if_plain(scope, self._state.keyring)
        if request_id is None or await service.sequences.of(kept.user_id) != kept.sequence:
            return False
        body = b"".join((kept.before_token, kept.stamp.issue(int(now)), kept.after_token))
        headers = [JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id)]
        if self._state.cors_origins:
            headers.append(_VARY)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._tally.count(time.perf_counter() - began, kept.degraded, kept.part.arms)
        return True


def body_of(answer: Answer, fields: Sequence[str]) -> bytes:
    """The body of an answer."""
    return orjson.dumps(rendering.recommendations(answer, fields))


def keep(scope: Scope, service: Service, answer: Answer, body: bytes, epoch: object) -> None:
    """Keeps the body of an answer that was begun in that epoch for who asks for the same again."""
    # Inside of JSON strings a quotation mark is escaped, so what is found is the key itself.
    start, _, rest = body.partition(_BEFORE_TOKEN)
    _token, _, end = rest.partition(b'"')
    service.kept.keep(_target(scope), answer, start + _BEFORE_TOKEN, b'"' + end, service.clock(), epoch=epoch)


def _target(scope: Scope) -> bytes:
    target: bytes = scope["raw_path"] + b"?" + scope["query_string"]
    return target


def request_id_if_plain(scope: Scope, keyring: Keyring) -> bytes | None:
    """The id of a request that may be answered here: the caller's own, or a fresh one; None for one that may not."""
    request_id = authorization = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                return None
            authorization = value
        elif name == b"x-request-id":
            request_id = request_id or own_request_id(value)  # the first good one, as the middleware takes it
        elif name == b"origin":
            return None
    if not keyring.open:
        try:
            keyring.authorise(None if authorization is None else authorization.decode("latin-1"), "read")
        except ApiError:
            return None
    return request_id or fresh_request_id()
