"""The HTTP meaning of what items and users as resources refuse."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from recsvc.api.errors import ApiError, api_error_response
from recsvc.catalog.errors import CatalogueFull, ItemBusy
from recsvc.users.errors import MergeRefused, UserBusy


class NoRoom(ApiError):  # noqa: N818
    """507: as many items have changes as may have."""

    status, kind, title = 507, "catalogue-full", "No room for another item"


class Busy(ApiError):  # noqa: N818
    """409: others changed it at the same time, again and again."""

    status, kind, title = 409, "changed-meanwhile", "Changed meanwhile"


class UserUnknown(ApiError):  # noqa: N818
    """404: nothing was put, and nothing is known of what the user did."""

    status, kind, title = 404, "user-unknown", "Unknown user"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"nothing is known of user {user_id!r}; to the recommendations that is a new user")


class MergeConflict(ApiError):  # noqa: N818
    """409: one of the two was merged in another way before."""

    status, kind, title = 409, "merge-refused", "Merge not possible"


def install_resource_errors(app: FastAPI) -> None:
    """Maps what the catalogue and the users raise, beside the errors of `install_error_handlers`."""
    for kind in (CatalogueFull, ItemBusy, UserBusy, MergeRefused):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, exc: Exception) -> Response:
    if isinstance(exc, CatalogueFull):
        return api_error_response(request.scope, NoRoom(str(exc)))
    if isinstance(exc, MergeRefused):
        return api_error_response(request.scope, MergeConflict(str(exc)))
    return api_error_response(request.scope, Busy(str(exc)))
