"""Users: those like another one."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.parameters import DEFAULT_LIMIT, LimitQuery, ModelQuery, UserIdPath
from recsvc.api.schemas import SimilarUsers
from recsvc.serving.recommender import Filters

router = APIRouter(tags=["users"])


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
