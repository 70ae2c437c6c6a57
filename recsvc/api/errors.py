"""Problem documents (RFC 9457): the one place where what went wrong gets its HTTP status."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from recsvc.api.wording import detail_of
from recsvc.bundle.errors import (
    BundleCorrupt,
    BundleError,
    FormatUnsupported,
    NothingToRollBackTo,
    VersionUnknown,
)
from recsvc.store.errors import StoreUnavailable

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID_KEY: Final = "recsvc.request_id"
"""Where in the ASGI scope the request's id lies."""

_MAX_ERRORS: Final = 50


class ApiError(Exception):
    """What a resource raises to end the request with a problem. `detail` is shown to the caller."""

    status: ClassVar[int]
    kind: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[dict[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)


class ItemUnknown(ApiError):  # noqa: N818
    """404: the model that answers has no such item."""

    status, kind, title = 404, "item-unknown", "Unknown item"

    def __init__(self, item_id: str) -> None:
        super().__init__(f"there is no item {item_id!r}")


class InvalidParameter(ApiError):  # noqa: N818
    """422: `pointer` names the place, as `#/query/limit`, `#/path/user_id` or `#/requests/0/limit` (in the body)."""

    status, kind, title = 422, "invalid-request", "Invalid request"

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}", errors=[{"pointer": pointer, "detail": detail}])


class PayloadTooLarge(ApiError):  # noqa: N818
    """413: the body is larger than `RECSVC_MAX_BODY_BYTES`."""

    status, kind, title = 413, "body-too-large", "Body too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"the body is larger than {limit_bytes} bytes; send it in parts", headers={"Connection": "close"}
        )


class NotJson(ApiError):  # noqa: N818
    """415: the body was sent as something else than JSON."""

    status, kind, title = 415, "not-json", "Body is not JSON"

    def __init__(self) -> None:
        super().__init__("the body is read as JSON only; send it with the header Content-Type: application/json")


class Unauthorized(ApiError):  # noqa: N818
    """401: no valid key came with the request."""

    status, kind, title = 401, "unauthorized", "API key required"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):  # noqa: N818
    """403: the key is valid and lacks the scope."""

    status, kind, title = 403, "scope-missing", "Scope missing"

    def __init__(self, scope: str) -> None:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        super().__init__(f"the API key lacks the scope {scope!r}", headers={"WWW-Authenticate": challenge})


class OriginRefused(ApiError):  # noqa: N818
    """403: a page of another origin may not change anything in a service that asks for no key."""

    status, kind, title = 403, "origin-refused", "Origin refused"

    def __init__(self, origin: str) -> None:
        super().__init__(f"pages of {origin} may not do this: add the origin to RECSVC_CORS_ORIGINS, or configure keys")


class ServiceNotReady(ApiError):  # noqa: N818
    """503: the service cannot answer this yet, or for the moment."""

    status, kind, title = 503, "not-ready", "Not ready"

    def __init__(self, detail: str, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class Overloaded(ApiError):  # noqa: N818
    """503: as many requests are under way as can be answered in time."""

    status, kind, title = 503, "overloaded", "Overloaded"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def problem_response(
    scope: Scope,
    status: int,
    kind: str,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[dict[str, str]] = (),
) -> Response:
    """The problem as a response; `kind` becomes the type `urn:recsvc:problem:<kind>`, which never changes."""
    document: dict[str, Any] = {
        "type": f"urn:recsvc:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": quote(scope.get("path", ""), safe="/:@!$&'()*+,;=~", errors="replace"),
    }
    if request_id := scope.get(REQUEST_ID_KEY):
        document["request_id"] = request_id
    if errors:
        document["errors"] = list(errors)
    # A lone surrogate, which an id in the request may hold, has no UTF-8; ASCII escapes carry it.
    return Response(json.dumps(document).encode("ascii"), status, headers, PROBLEM_MEDIA_TYPE)


def api_error_response(scope: Scope, error: ApiError) -> Response:
    """The problem of an `ApiError`, for code that runs outside the routes."""
    return problem_response(
        scope, error.status, error.kind, error.title, error.detail, headers=error.headers, errors=error.errors
    )


def internal_error_response(scope: Scope) -> Response:
    """The problem of a failure of ours: the request's id and nothing of what happened."""
    detail = "the service failed to answer; its log has the reason under this request_id"
    return problem_response(scope, 500, "internal", "Internal error", detail)


def install_error_handlers(app: FastAPI) -> None:
    """Maps every error that a route can raise. `UnhandledErrorMiddleware` sees to those that nobody foresaw."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(BundleError, _on_bundle_error)
    app.add_exception_handler(StoreUnavailable, _on_store_unavailable)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route in OpenAPI, one problem document per status."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": _PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


async def _on_api_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)  # noqa: S101
    return api_error_response(request.scope, exc)


async def _on_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101
    raw = list(exc.errors())
    if any(error["loc"] == ("body",) for error in raw) and isinstance(exc.body, bytes):
        return api_error_response(request.scope, NotJson())
    return _invalid(request.scope, [_pointed(error) for error in raw[:_MAX_ERRORS]], len(raw))


def _invalid(scope: Scope, errors: list[dict[str, str]], count: int) -> Response:
    first = f"{errors[0]['pointer']}: {errors[0]['detail']}"
    detail = first if count == 1 else f"{count} problems; the first is {first}"
    return problem_response(scope, 422, "invalid-request", "Invalid request", detail, errors=errors)


def _pointed(error: Any) -> dict[str, str]:
    """A validation error as a pointer and what is wrong there; the body's own pointers start at its root."""
    place, *path = error["loc"]
    if error["type"] == "json_invalid":
        return {"pointer": "#", "detail": f"not valid JSON at character {path[0]}: {error['ctx']['error']}"}
    tokens = path if place == "body" else [place, *path]
    return {
        "pointer": "".join(["#", *(f"/{_token(token)}" for token in tokens)]),
        "detail": detail_of(error),
    }


def _token(token: object) -> str:
    """A reference token (RFC 6901, sections 3 and 6): ~ and / escaped, the rest percent-encoded for a fragment."""
    escaped = str(token).replace("~", "~0").replace("/", "~1")
    return quote(escaped, safe="~!$&'()*+,;=:@", errors="replace")


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101
    if exc.status_code == HTTPStatus.BAD_REQUEST and isinstance(exc.__cause__, (ValueError, RecursionError)):
        return _invalid(request.scope, [{"pointer": "#", "detail": _unreadable(exc.__cause__)}], 1)
    phrase = HTTPStatus(exc.status_code).phrase
    details = {
        404: "there is no such address; /docs lists those there are",
        405: f"{request.method} is not allowed here; the Allow header lists what is",
    }
    detail = details.get(exc.status_code) if exc.detail == phrase else exc.detail
    kind = phrase.lower().replace(" ", "-")
    return problem_response(request.scope, exc.status_code, kind, phrase, detail or phrase, headers=exc.headers)


def _unreadable(cause: BaseException) -> str:
    if isinstance(cause, UnicodeDecodeError):
        return "the body is not UTF-8"
    if isinstance(cause, RecursionError):
        return "the body is nested too deeply"
    return f"the body cannot be read: {cause}"


async def _on_bundle_error(request: Request, exc: Exception) -> Response:
    if isinstance(exc, VersionUnknown):
        return problem_response(request.scope, 404, "model-unknown", "Unknown model version", str(exc))
    known = {
        BundleCorrupt: (409, "model-corrupt", "Bundle refused"),
        FormatUnsupported: (409, "model-format", "Bundle format not supported"),
        NothingToRollBackTo: (409, "nothing-to-roll-back-to", "No earlier champion"),
    }
    if type(exc) not in known:
        # One that nobody foresaw: the middleware logs it and answers 500.
        raise exc
    logger.warning("refused: %s", exc, extra={"request_id": request.scope.get(REQUEST_ID_KEY)})
    status, kind, title = known[type(exc)]
    return problem_response(request.scope, status, kind, title, str(exc))


async def _on_store_unavailable(request: Request, exc: Exception) -> Response:
    # The text of the exception names hosts and sockets; it is for the log.
    logger.warning("store unavailable: %s", exc, extra={"request_id": request.scope.get(REQUEST_ID_KEY)})
    return api_error_response(request.scope, ServiceNotReady("the store is not available; try again"))


_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:recsvc:problem:invalid-request"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "Path of the request"},
        "request_id": {"type": "string", "description": "As in X-Request-Id"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "examples": ["#/query/limit", "#/requests/0/user_id"]},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
