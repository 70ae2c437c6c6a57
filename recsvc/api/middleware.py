"""What wraps every request: its id, its metrics, CORS, unforeseen errors, the limit of its body. Plain ASGI."""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsvc.api.errors import REQUEST_ID_KEY, PayloadTooLarge, api_error_response, internal_error_response
from recsvc.settings import Settings
from recsvc.telemetry import Telemetry
from recsvc.tokens import random_bytes

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DRAIN_BYTES: Final = 8 * 1024 * 1024
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9\-._:/+=]{1,128}")


def install_middleware(app: FastAPI, settings: Settings, telemetry: Telemetry) -> None:
    """Adds the layers, from the inside out: a layer's answers pass through those outside it.

    So a 413 and a 500 carry the CORS headers, and every answer, a preflight's included, its request id.
    """
    app.add_middleware(BodyLimitMiddleware, limit_bytes=settings.max_body_bytes)
    app.add_middleware(UnhandledErrorMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", REQUEST_ID_HEADER],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
            max_age=600,
        )
    app.add_middleware(RequestContextMiddleware, telemetry=telemetry)


class RequestContextMiddleware:
    """Gives the request its id, the caller's own if it is sane, echoes it, and counts and times the answer."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _with_path_decoded(scope)
        request_id = _request_id(scope)
        scope[REQUEST_ID_KEY] = request_id.decode("ascii")
        status = 500
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        in_progress = self._telemetry.requests_in_progress
        in_progress.inc()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            in_progress.dec()
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            # The template, never the path: ids would make a time series each.
            route = getattr(scope.get("route"), "path", "unmatched")
            self._telemetry.requests.labels(method, route, str(status)).inc()
            self._telemetry.request_seconds.labels(method, route).observe(time.perf_counter() - began)


class UnhandledErrorMiddleware:
    """Logs what no handler foresaw and answers 500 without any of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if started:
                raise  # half an answer is out: the server drops the connection, so nobody takes it for whole
            logger.exception(
                "%s %s failed",
                scope["method"],
                scope["path"],
                extra={"request_id": scope.get(REQUEST_ID_KEY)},
            )
            await internal_error_response(scope)(scope, receive, send)


class BodyLimitMiddleware:
    """Answers 413 to a body over the limit: at once where Content-Length says so, else when the limit is passed."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI call."""
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length")
        if length is None:
            await self._counted(scope, receive, send)
        elif length.isdecimal() and int(length[:20]) <= self._limit:
            # The server itself reads no more than what was announced.
            await self._app(scope, receive, send)
        else:
            if "expect" not in headers:
                await _drain(receive)
            await api_error_response(scope, PayloadTooLarge(self._limit))(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0
        more = True
        started = False

        async def limited() -> Message:
            nonlocal received, more
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                more = message.get("more_body", False)
                if received > self._limit:
                    raise _LimitPassed
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, limited, watched)
        except _LimitPassed:
            if not started:
                if more:
                    await _drain(receive)
                await api_error_response(scope, PayloadTooLarge(self._limit))(scope, receive, send)


async def _drain(receive: Receive) -> None:
    """Reads and drops the rest of a body, up to a bound: a client that is still sending may never see our answer."""
    dropped = 0
    while dropped < _DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))


class _LimitPassed(BaseException):
    """Not an `Exception`: the framework turns those that come out of reading a body into answers of its own."""


def _with_path_decoded(scope: Scope) -> Scope:
    """The scope with what is not UTF-8 in its path kept apart: the server makes U+FFFD of it all, and of many ids one.

    As lone surrogates they are refused where an id is read. The server's own scope stays: it may log the path.
    """
    if "\ufffd" not in scope["path"] or not (raw := scope.get("raw_path")):
        return scope
    return {**scope, "path": unquote(raw.decode("ascii"), errors="surrogateescape")}


def own_request_id(value: bytes) -> bytes | None:
    """The caller's X-Request-Id, if it is one that a log can hold."""
    return bytes(value) if _SANE_ID.fullmatch(value) else None


def fresh_request_id() -> bytes:
    """An id for a request that brought none."""
    return random_bytes(8).hex().encode("ascii")


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and (own := own_request_id(value)):
            return own
    return fresh_request_id()
