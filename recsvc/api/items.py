"""Items: those like another one, and each as a resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import ValidationError

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import ItemUnknown, problem_responses
from recsvc.api.merge_patch import merge_patch
from recsvc.api.parameters import DEFAULT_LIMIT, FieldsQuery, ItemIdPath, LimitQuery, ModelQuery
from recsvc.api.resource_errors import NoRoom
from recsvc.api.resource_schemas import (
    MAX_RESOURCE_BYTES,
    BatchItem,
    ItemBody,
    ItemsAnswer,
    ItemsBatch,
    ItemShown,
    shown_item,
)
from recsvc.api.schemas import SimilarItems
from recsvc.api.serving_errors import InvalidElement, rejected
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.catalog.errors import CatalogueFull
from recsvc.catalog.item_json import to_json
from recsvc.catalog.live import LiveItem
from recsvc.serving.answer import Filters

router = APIRouter(tags=["items"], route_class=StrictJSONRoute)


@router.get(
    "/v1/items/{item_id:path}/similar",
    response_model=SimilarItems,
    response_model_exclude_unset=True,
    responses=problem_responses(401, 403, 404, 409, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="Items like this one",
)
async def similar_items(
    request: Request,
    item_id: ItemIdPath,
    limit: LimitQuery = DEFAULT_LIMIT,
    fields: FieldsQuery = [],  # noqa: B006 - FastAPI copies defaults
    model: ModelQuery = None,
) -> Response:
    """Nearest by the model's factors; where those run out, popular items of the same categories."""
    filters = Filters(limit=limit, model=model, placement="similar")
    answer = await service_of(request).recommender.like_item(item_id, filters)
    return rendering.json_response({"item_id": item_id, **rendering.item_list(answer, fields)})


# After the other addresses below /v1/items/: an id may hold slashes, so this one fits them as well.
@router.get(
    "/v1/items/{item_id:path}",
    response_model=ItemShown,
    responses=problem_responses(401, 403, 404, 422),
    dependencies=[Depends(require("read"))],
    summary="An item as it is now",
)
async def get_item(request: Request, item_id: ItemIdPath) -> Response:
    """What was put last, else what the model in use knows of it. A deleted item is not there."""
    return _shown(item_id, service_of(request).catalogue.get(item_id))


@router.put(
    "/v1/items/{item_id:path}",
    response_model=ItemShown,
    responses={201: {"model": ItemShown}, **problem_responses(401, 403, 413, 415, 422, 503, 507)},
    dependencies=[Depends(require("admin"))],
    summary="Put an item",
)
async def put_item(request: Request, item_id: ItemIdPath, item: ItemBody) -> Response:
    """The body is the whole item: what it lacks has its default, whatever was there. 201 when there was none.

    In effect in this process at once, in every other within a second.
    """
    put = (await service_of(request).catalogue.put([_checked(item, item_id, "#")]))[0]
    if put.outcome == "full":
        raise _no_room(request)
    answer = _shown(item_id, put.item)
    answer.status_code = 201 if put.outcome == "created" else 200
    return answer


@router.patch(
    "/v1/items/{item_id:path}",
    response_model=ItemShown,
    responses=problem_responses(401, 403, 404, 409, 413, 415, 422, 503, 507),
    dependencies=[Depends(require("admin"))],
    summary="Change an item",
    openapi_extra={"requestBody": {"content": {"application/merge-patch+json": {"schema": {"type": "object"}}}}},
)
async def patch_item(request: Request, item_id: ItemIdPath, patch: Annotated[dict[str, Any], Body()]) -> Response:
    """A JSON merge patch (RFC 7396): members that are sent replace those there are, null removes."""

    def changed(before: LiveItem) -> LiveItem:
        try:
            body = ItemBody.model_validate(merge_patch(shown_item(before), patch))
        except ValidationError as exc:
            raise InvalidElement.of(exc, "#") from exc
        except ValueError as exc:
            raise InvalidElement.at("#", str(exc)) from exc
        return _checked(body, item_id, "#")

    return _shown(item_id, await service_of(request).catalogue.change(item_id, changed))


@router.delete(
    "/v1/items/{item_id:path}",
    status_code=204,
    responses=problem_responses(401, 403, 422, 503, 507),
    dependencies=[Depends(require("admin"))],
    summary="Delete an item",
)
async def delete_item(request: Request, item_id: ItemIdPath) -> Response:
    """It is not recommended any more, whatever model answers, until it is put again. Deleting twice is no error."""
    await service_of(request).catalogue.delete(item_id)
    return Response(status_code=204)


@router.post(
    "/v1/items:batch",
    response_model=ItemsAnswer,
    responses=problem_responses(401, 403, 413, 415, 422, 503),
    dependencies=[Depends(require("admin"))],
    summary="Put several items",
)
async def put_items(request: Request, batch: ItemsBatch) -> Response:
    """Each as by PUT, one result each, in their order; of one item that is there twice the last counts."""
    results: list[dict[str, Any]] = []
    valid: list[tuple[int, LiveItem]] = []
    for place, raw in enumerate(batch.items):
        where = f"#/items/{place}"
        results.append({})
        try:
            body = BatchItem.model_validate(raw)
            valid.append((place, _checked(body, body.item_id, where)))
        except ValidationError as exc:
            results[place] = rejected(raw, "item_id", InvalidElement.of(exc, where))
        except InvalidElement as exc:
            results[place] = rejected(raw, "item_id", exc)
    puts = await service_of(request).catalogue.put([item for _, item in valid])
    for (place, item), put in zip(valid, puts, strict=True):
        if put.outcome == "full":
            results[place] = rejected(batch.items[place], "item_id", _no_room(request))
        else:
            results[place] = {"item_id": item.item_id, "status": put.outcome}
    return rendering.json_response({"results": results})


def _checked(body: ItemBody, item_id: str, where: str) -> LiveItem:
    if body.item_id not in (None, item_id):
        raise InvalidElement.at(f"{where}/item_id", f"is {body.item_id!r}, and the address is of {item_id!r}")
    item = body.item(item_id)
    size = len(to_json(replace(item, updated_at=0.1)))
    if size > MAX_RESOURCE_BYTES:
        raise InvalidElement.at(where, f"the item has {size} bytes, more than {MAX_RESOURCE_BYTES}; shorten it")
    return item


def _shown(item_id: str, item: LiveItem | None) -> Response:
    if item is None:
        raise ItemUnknown(item_id)
    return rendering.json_response(shown_item(item))


def _no_room(request: Request) -> NoRoom:
    return NoRoom(str(CatalogueFull(service_of(request).live.store.max_items)))
