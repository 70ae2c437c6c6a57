"""What stands before the framework: the bound on requests under way, and the short way to answers that are kept."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from recsvc.api.errors import REQUEST_ID_KEY, Overloaded, api_error_response
from recsvc.api.lean import LeanRecommendations
from recsvc.api.middleware import REQUEST_ID_HEADER, fresh_request_id
from recsvc.telemetry import Telemetry

_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Always answered: whoever restarts what does not answer must not do so because it is busy."""


class Front:
    """The outermost layer, plain ASGI.

    At `most_requests` under way further ones are answered 503 at once, so that those that were let in are answered in
    time: work that waits longer than its caller does is done for nobody.
    """

    def __init__(self, app: ASGIApp, state: State, telemetry: Telemetry, *, most_requests: int) -> None:
        """`state` is the app's."""
        self._app = app
        self._lean = LeanRecommendations(state, telemetry)
        self._most = most_requests
        self._under_way = 0
        self._shed = telemetry.shed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most and scope["path"] not in _PROBES:
            await self._refuse(scope, receive, send)
            return
        self._under_way += 1
        try:
            if not await self._lean.answered(scope, send):
                await self._app(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._shed.inc()
        request_id = fresh_request_id().decode("ascii")
        error = Overloaded(f"{self._most} requests are being answered already; send this one again after a second")
        response = api_error_response({**scope, REQUEST_ID_KEY: request_id}, error)
        response.headers[REQUEST_ID_HEADER] = request_id
        await response(scope, receive, send)
