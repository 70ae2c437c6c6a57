"""Recommendations for users, one by one and in batches."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from recsvc.api import lean, rendering
from recsvc.api.auth import authorise, require
from recsvc.api.dependencies import Service, service_of
from recsvc.api.errors import InvalidParameter, problem_responses
from recsvc.api.parameters import (
    DEFAULT_LIMIT,
    AssignedQuery,
    CategoryQuery,
    CursorQuery,
    ExcludeQuery,
    FieldsQuery,
    LimitQuery,
    ModelQuery,
    UnitIdQuery,
    UserIdPath,
    VariantQuery,
    chosen,
)
from recsvc.api.schemas import BatchAnswer, BatchElement, BatchRequest, ListFilters, Recommendations
from recsvc.api.serving_errors import InvalidElement, api_error, document
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.bundle.errors import BundleError
from recsvc.serving.answer import Filters
from recsvc.serving.errors import Overloaded, ParameterInvalid

_BATCH_WIDTH: Final = 8
"""Elements of one batch that are answered at the same time."""

router = APIRouter(tags=["recommendations"], route_class=StrictJSONRoute)

_CHOOSING: Final = "experiments"
"""The scope of those who may name a variant."""


@router.get(
    lean.ROUTE,
    response_model=Recommendations,
    response_model_exclude_unset=True,
    responses=problem_responses(401, 403, 409, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="What to show a user next",
)
async def recommend(
    request: Request,
    user_id: UserIdPath,
    limit: LimitQuery = DEFAULT_LIMIT,
    category: CategoryQuery = [],  # noqa: B006 - FastAPI copies defaults
    exclude: ExcludeQuery = [],  # noqa: B006
    fields: FieldsQuery = [],  # noqa: B006
    cursor: CursorQuery = None,
    model: ModelQuery = None,
    unit_id: UnitIdQuery = None,
    variant: VariantQuery = None,
    assigned: AssignedQuery = None,
) -> Response:
    """Items the user has not consumed, best first. An unknown user gets trending and popular items by category."""
    if variant is not None and assigned is not None:
        raise InvalidParameter("#/query/assigned", "cannot be sent together with variant")
    if variant is not None or assigned is not None:
        authorise(request, _CHOOSING)
    choice = chosen(variant, assigned)
    filters = Filters(limit, tuple(category), tuple(exclude), cursor, model, unit_id=unit_id, chosen=choice)
    service = service_of(request)
    epoch = service.kept.epoch()
    answer = await service.recommender.recommend(user_id, filters)
    body = lean.body_of(answer, fields)
    lean.keep(request.scope, service, answer, body, epoch)
    return Response(body, media_type="application/json")


@router.post(
    "/v1/recommendations:batch",
    response_model=BatchAnswer,
    responses=problem_responses(401, 403, 413, 415, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="Recommendations for several users",
)
async def recommend_batch(request: Request, batch: BatchRequest) -> Response:
    """One result per request, in their order. With `distinct`, earlier requests take their items first."""
    service = service_of(request)
    if any(isinstance(raw, dict) and not raw.keys().isdisjoint({"variant", "assigned"}) for raw in batch.requests):
        authorise(request, _CHOOSING)
    if batch.distinct:
        results = await _one_after_the_other(service, batch.requests)
    else:
        results = await _side_by_side(service, batch.requests)
    return rendering.json_response({"results": list(results)})


def filters_of(asked: ListFilters, placement: str) -> Filters:
    """The filters of a body."""
    return Filters(asked.limit, tuple(asked.category), tuple(asked.exclude), asked.cursor, asked.model, placement)


async def _side_by_side(service: Service, requests: list[Any]) -> list[dict[str, Any]]:
    # A batch must not take all the places where lists are computed.
    places = asyncio.Semaphore(_BATCH_WIDTH)

    async def one(place: int, raw: Any) -> dict[str, Any]:
        async with places:
            return await _element(service, raw, place, [])

    return await asyncio.gather(*(one(place, raw) for place, raw in enumerate(requests)))


async def _one_after_the_other(service: Service, requests: list[Any]) -> list[dict[str, Any]]:
    taken: list[str] = []
    results = []
    for place, raw in enumerate(requests):
        result = await _element(service, raw, place, taken)
        taken += [item["id"] for item in result.get("items", ())]
        results.append(result)
    return results


async def _element(service: Service, raw: Any, place: int, taken: list[str]) -> dict[str, Any]:
    where = f"#/requests/{place}"
    try:
        asked = BatchElement.model_validate(raw)
        filters = filters_of(asked, "batch")
        choice = chosen(asked.variant, asked.assigned)
        filters = replace(filters, unit_id=asked.unit_id, chosen=choice)
        answer = await service.recommender.recommend(asked.user_id, filters, taken)
    except ValidationError as exc:
        return {"problem": document(InvalidElement.of(exc, where))}
    except (ParameterInvalid, Overloaded, BundleError) as exc:
        return {"problem": document(api_error(exc, where))}
    return rendering.recommendations(answer, asked.fields)
