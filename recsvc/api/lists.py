"""Lists that are the same for everybody."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.parameters import DEFAULT_LIMIT, CategoryQuery, FieldsQuery, LimitQuery, ModelQuery
from recsvc.api.schemas import EverybodysList
from recsvc.serving.answer import Filters
from recsvc.serving.candidates import Source

router = APIRouter(tags=["lists"])


@router.get(
    "/v1/lists/{name}",
    response_model=EverybodysList,
    response_model_exclude_unset=True,
    responses=problem_responses(401, 403, 409, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="Popular, trending or latest items",
)
async def everybodys_list(
    request: Request,
    name: Annotated[Literal["popular", "trending", "latest"], Path()],
    limit: LimitQuery = DEFAULT_LIMIT,
    category: CategoryQuery = [],  # noqa: B006 - FastAPI copies defaults
    fields: FieldsQuery = [],  # noqa: B006
    model: ModelQuery = None,
) -> Response:
    """The head of the list, of any of the categories. What it lacks is filled with popular items, marked as such."""
    filters = Filters(limit=limit, categories=tuple(category), model=model, placement="list")
    answer = await service_of(request).recommender.everybodys(Source[name.upper()], filters)
    return rendering.json_response(rendering.item_list(answer, fields))
