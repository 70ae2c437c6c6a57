"""Items: those like another one."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.parameters import DEFAULT_LIMIT, FieldsQuery, ItemIdPath, LimitQuery, ModelQuery
from recsvc.api.schemas import SimilarItems
from recsvc.serving.recommender import Filters

router = APIRouter(tags=["items"])


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
