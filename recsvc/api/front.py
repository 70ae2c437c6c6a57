"""What stands before the framework: the bound on requests under way, and the short ways to recommendations."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from recsvc.api.errors import REQUEST_ID_KEY, Overloaded, api_error_response
from recsvc.api.lateness import Lateness
from recsvc.api.lean import LeanRecommendations
from recsvc.api.middleware import REQUEST_ID_HEADER, fresh_request_id
from recsvc.api.plain import PlainRecommendations
from recsvc.telemetry import Telemetry

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Always answered: whoever restarts what does not answer must not do so because it is busy."""


class Front:
    """The outermost layer, plain ASGI.

    Kept answers go out at once. Of other requests only so many are under way at a time, and of recommendations that are
    to be made only as many as are made in time, and none while the event loop is late with what it has: further ones
    are answered 503 before they cost anything. Work that waits longer than its caller does is done for nobody. Plain
    requests among them are made without the framework.
    """

    def __init__(
        self, app: ASGIApp, state: State, telemetry: Telemetry, *, most_requests: int, most_computations: int
    ) -> None:
        """`state` is the app's."""
        self._app = app
        self._lean = LeanRecommendations(state, telemetry)
        self._plain = PlainRecommendations(state, telemetry)
        self._most_requests = most_requests
        self._most_computations = most_computations
        self._requests = 0
        self._computations = 0
        self._lateness = Lateness()
        self._shed = telemetry.shed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        if await self._lean.answered(scope, send):
            return
        computes = self._lean.is_for(scope)
        if self._requests >= self._most_requests:
            await self._refuse(scope, receive, send, f"{self._most_requests} requests are being answered already")
            return
        if computes and self._computations >= self._most_computations:
            await self._refuse(scope, receive, send, f"{self._most_computations} lists are being made already")
            return
        if computes:
            self._lateness.watch()
            if self._lateness.is_much:
                await self._refuse(scope, receive, send, "more has come in than is answered in time")
                return
        self._requests += 1
        self._computations += computes
        try:
            app: ASGIApp = self._plain if computes and self._plain.takes(scope) else self._app
            await app(scope, receive, send)
        finally:
            self._requests -= 1
            self._computations -= computes

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, why: str) -> None:
        self._shed.inc()
        request_id = fresh_request_id().decode("ascii")
        error = Overloaded(f"{why}; send this one again after a second")
        response = api_error_response({**scope, REQUEST_ID_KEY: request_id}, error)
        response.headers[REQUEST_ID_HEADER] = request_id
        await response(scope, receive, send)
