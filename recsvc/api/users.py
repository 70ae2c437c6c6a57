"""Users: those like another one, each as a resource, merges and erasure."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import ValidationError

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import InvalidParameter, problem_responses
from recsvc.api.merge_patch import merge_patch
from recsvc.api.parameters import DEFAULT_LIMIT, LimitQuery, ModelQuery, UserIdPath
from recsvc.api.resource_errors import Busy, UserUnknown
from recsvc.api.resource_schemas import MAX_RESOURCE_BYTES
from recsvc.api.schemas import SimilarUsers
from recsvc.api.serving_errors import InvalidElement, rejected
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.api.user_schemas import (
    BatchUser,
    ErasureReceipt,
    MergeAnswer,
    MergeBody,
    UserBody,
    UsersAnswer,
    UsersBatch,
    UserShown,
    shown_receipt,
    shown_user,
)
from recsvc.serving.answer import Filters
from recsvc.users.errors import MergeIntoItself, UserBusy
from recsvc.users.profiles import Profile, UserProfiles, to_json

router = APIRouter(tags=["users"], route_class=StrictJSONRoute)


@router.get(
    "/v1/users/{user_id:path}/similar",
    response_model=SimilarUsers,
    responses=problem_responses(401, 403, 409, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="Users like this one",
)
async def similar_users(
    request: Request, user_id: UserIdPath, limit: LimitQuery = DEFAULT_LIMIT, model: ModelQuery = None
) -> Response:
    """Nearest by the model's factors. For an unknown user nobody, and `degraded` says `new_user`."""
    found = await service_of(request).recommender.like_user(user_id, Filters(limit=limit, model=model))
    users = found.model.bundle.users
    return rendering.json_response(
        {
            "user_id": user_id,
            "model_version": found.model.version,
            "users": [{"id": users[row], "score": round(cosine, 6)} for row, cosine in found.users],
            "degraded": found.degraded,
        }
    )


# After the other addresses below /v1/users/: an id may hold slashes, so this one fits them as well.
@router.get(
    "/v1/users/{user_id:path}",
    response_model=UserShown,
    responses=problem_responses(401, 403, 404, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="A user",
)
async def get_user(request: Request, user_id: UserIdPath) -> Response:
    """What was put; empty for a user of whom only events are known. For an id that was merged, the account."""
    users = service_of(request).users
    root, profile = await users.profiles.get(user_id)
    if profile is None and not await users.known(root):
        raise UserUnknown(user_id)
    return rendering.json_response(shown_user(root, profile))


@router.put(
    "/v1/users/{user_id:path}",
    response_model=UserShown,
    responses={201: {"model": UserShown}, **problem_responses(401, 403, 409, 413, 415, 422, 503)},
    dependencies=[Depends(require("admin"))],
    summary="Put a user",
)
async def put_user(request: Request, user_id: UserIdPath, user: UserBody) -> Response:
    """The body is the whole user: what it lacks has its default. 201 when there was none. In effect at once."""
    profile = _checked(user, user_id, "#")
    put = await service_of(request).users.profiles.change(user_id, lambda _: profile)
    answer = rendering.json_response(shown_user(put.user_id, put.profile))
    answer.status_code = 201 if put.created else 200
    return answer


@router.patch(
    "/v1/users/{user_id:path}",
    response_model=UserShown,
    responses=problem_responses(401, 403, 409, 413, 415, 422, 503),
    dependencies=[Depends(require("admin"))],
    summary="Change a user",
    openapi_extra={"requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}}},
)
async def patch_user(request: Request, user_id: UserIdPath, patch: Annotated[dict[str, Any], Body()]) -> Response:
    """A JSON merge patch (RFC 7396): members that are sent replace those there are, null removes. A user of whom
    nothing is known is an empty one."""

    def changed(before: Profile) -> Profile:
        shown = shown_user(user_id, before)
        try:
            body = UserBody.model_validate(merge_patch(shown, patch))
        except ValidationError as exc:
            raise InvalidElement.of(exc, "#") from exc
        except ValueError as exc:
            raise InvalidElement.at("#", str(exc)) from exc
        return _checked(body, user_id, "#")

    put = await service_of(request).users.profiles.change(user_id, changed)
    return rendering.json_response(shown_user(put.user_id, put.profile))


@router.delete(
    "/v1/users/{user_id:path}",
    response_model=ErasureReceipt,
    responses=problem_responses(401, 403, 422, 503),
    dependencies=[Depends(require("admin"))],
    summary="Erase a user",
)
async def erase_user(request: Request, user_id: UserIdPath) -> Response:
    """Everything there is of the user and of those merged into that one. The receipt says what is gone and what goes
    until when; erasing again gives a new receipt. The id may come back, as a new user."""
    receipt = await service_of(request).users.erasure.erase(user_id)
    return rendering.json_response(shown_receipt(receipt))


@router.post(
    "/v1/users/{user_id:path}:merge",
    response_model=MergeAnswer,
    responses=problem_responses(401, 403, 409, 413, 415, 422, 503),
    dependencies=[Depends(require("admin"))],
    summary="Merge another user into this one",
)
async def merge_users(request: Request, user_id: UserIdPath, merge: MergeBody) -> Response:
    """What the other one did moves here, once; from then on the other id stands for this user. Merging again changes
    nothing, and completes what was interrupted."""
    try:
        merged = await service_of(request).users.merge.merge(merge.source, user_id)
    except MergeIntoItself as exc:
        raise InvalidParameter("#/from", str(exc)) from exc
    status = "merged" if merged.changed else "already_merged"
    return rendering.json_response(
        {"user_id": merged.user_id, "from": merge.source, "status": status, "events": merged.events}
    )


@router.post(
    "/v1/users:batch",
    response_model=UsersAnswer,
    responses=problem_responses(401, 403, 413, 415, 422, 503),
    dependencies=[Depends(require("admin"))],
    summary="Put several users",
)
async def put_users(request: Request, batch: UsersBatch) -> Response:
    """Each as by PUT, one result each, in their order; of one user that is there twice the last counts."""
    results: list[dict[str, Any]] = []
    valid: dict[str, list[tuple[int, Profile]]] = {}
    for place, raw in enumerate(batch.users):
        where = f"#/users/{place}"
        results.append({})
        try:
            body = BatchUser.model_validate(raw)
            valid.setdefault(body.user_id, []).append((place, _checked(body, body.user_id, where)))
        except ValidationError as exc:
            results[place] = rejected(raw, "user_id", InvalidElement.of(exc, where))
        except InvalidElement as exc:
            results[place] = rejected(raw, "user_id", exc)
    profiles = service_of(request).users.profiles
    await asyncio.gather(*(_put_in_order(profiles, user_id, puts, results) for user_id, puts in valid.items()))
    return rendering.json_response({"results": results})


async def _put_in_order(
    profiles: UserProfiles, user_id: str, puts: list[tuple[int, Profile]], results: list[dict[str, Any]]
) -> None:
    for place, profile in puts:
        try:
            put = await profiles.change(user_id, lambda _, profile=profile: profile)  # type: ignore[misc]
            results[place] = {"user_id": user_id, "status": "created" if put.created else "replaced"}
        except UserBusy as exc:
            results[place] = rejected({"user_id": user_id}, "user_id", Busy(str(exc)))


def _checked(body: UserBody, user_id: str, where: str) -> Profile:
    if body.user_id not in (None, user_id):
        raise InvalidElement.at(f"{where}/user_id", f"is {body.user_id!r}, and the address is of {user_id!r}")
    profile = body.profile()
    size = len(to_json(Profile(profile.attributes, profile.interests, 0.1, 0.1)))
    if size > MAX_RESOURCE_BYTES:
        raise InvalidElement.at(where, f"the user has {size} bytes, more than {MAX_RESOURCE_BYTES}; shorten it")
    return profile
