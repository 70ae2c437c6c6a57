"""The HTTP meaning of what serving refuses."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.responses import Response

from recsvc.api.errors import (
    ApiError,
    InvalidParameter,
    ItemUnknown,
    Overloaded,
    ServiceNotReady,
    api_error_response,
)
from recsvc.api.wording import detail_of
from recsvc.bundle.errors import BundleError
from recsvc.events.schema import id_problem
from recsvc.serving import errors as serving

_MAX_ERRORS: Final = 50
"""Of one element; a body full of unknown fields must not come back several times as large."""


class GateRefused(ApiError):  # noqa: N818
    """409: the version is worse than the champion beyond the tolerance."""

    status, kind, title = 409, "gate-refused", "Gate not passed"


class ModelRefused(ApiError):  # noqa: N818
    """409: the version asked for cannot be opened."""

    status, kind, title = 409, "model-corrupt", "Bundle refused"


def install_serving_errors(app: FastAPI) -> None:
    """Maps the errors of serving, beside those of `install_error_handlers`."""

    async def answer(request: Request, exc: Exception) -> Response:
        where = "#/query" if request.method == "GET" else "#"
        return api_error_response(request.scope, api_error(exc, where))

    app.add_exception_handler(serving.ServingError, answer)


def api_error(exc: Exception, where: str) -> ApiError:
    """The problem that `exc` is; `where` is the pointer under which the parameters were sent.

    An error that serving does not raise on purpose is raised again.
    """
    if isinstance(exc, serving.ParameterInvalid):
        return InvalidParameter(f"{where}/{exc.parameter}", str(exc))
    if isinstance(exc, serving.ItemUnknown):
        return ItemUnknown(exc.item_id)
    if isinstance(exc, serving.GateRefused):
        return GateRefused(str(exc))
    if isinstance(exc, (serving.NoModel, serving.LiveDataMissing)):
        return ServiceNotReady(str(exc), retry_after_seconds=5)
    if isinstance(exc, serving.Overloaded):
        return Overloaded(str(exc))
    if isinstance(exc, BundleError):
        return ModelRefused(str(exc))
    raise exc


class InvalidElement(ApiError):  # noqa: N818
    """422 of one element of a batch; `errors` has pointers into the whole body."""

    status, kind, title = 422, "invalid-request", "Invalid request"

    @classmethod
    def of(cls, error: ValidationError, where: str) -> InvalidElement:
        """From a validation error of the element at `where`."""
        errors = [
            {"pointer": "/".join([where, *(_token(part) for part in entry["loc"])]), "detail": detail_of(entry)}
            for entry in error.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
        ]
        return cls(f"{errors[0]['pointer']}: {errors[0]['detail']}", errors=errors)

    @classmethod
    def at(cls, pointer: str, detail: str) -> InvalidElement:
        """One mistake, at `pointer`."""
        return cls(f"{pointer}: {detail}", errors=[{"pointer": pointer, "detail": detail}])


def document(error: ApiError) -> dict[str, Any]:
    """The problem document of one element of a batch."""
    problem: dict[str, Any] = {
        "type": f"urn:recsvc:problem:{error.kind}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    return problem | ({"errors": error.errors} if error.errors else {})


def rejected(element: Any, name: str, error: ApiError) -> dict[str, Any]:
    """The result of an element that was refused; `name` its id, null where it has none that could be one."""
    sent = element.get(name) if isinstance(element, dict) else None
    known = isinstance(sent, str) and id_problem(sent) is None
    return {name: sent if known else None, "status": "rejected", "problem": document(error)}


def _token(part: object) -> str:
    """A reference token in a URI fragment (RFC 6901, section 6)."""
    return quote(str(part).replace("~", "~0").replace("/", "~1"), safe="~", errors="replace")
