"""Recommendations for somebody anonymous, from the events that the caller sends."""

from __future__ import annotations

import math

import numpy as np
from fastapi import APIRouter, Depends, Request, Response

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.recommendations import filters_of
from recsvc.api.schemas import SessionRecommendations, SessionRequest
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.serving.knowledge import Session

router = APIRouter(tags=["recommendations"], route_class=StrictJSONRoute)


@router.post(
    "/v1/sessions/recommendations",
    response_model=SessionRecommendations,
    response_model_exclude_unset=True,
    responses=problem_responses(401, 403, 409, 413, 415, 422, 503),
    dependencies=[Depends(require("read"))],
    summary="What to show somebody without an account",
)
async def recommend_to_session(request: Request, asked: SessionRequest) -> Response:
    """The events are folded in under the objective of training; nothing is stored.

    For the next page send the same events with the cursor.
    """
    session = Session(
        item_ids=[event.item_id for event in asked.events],
        types=[event.type for event in asked.events],
        values=np.array([_or_nan(event.value) for event in asked.events], dtype=np.float32),
        timestamps=np.array(
            [event.timestamp.timestamp() if event.timestamp else math.nan for event in asked.events],
            dtype=np.float64,
        ),
    )
    answer = await service_of(request).recommender.recommend_to_session(session, filters_of(asked, "session"))
    return rendering.json_response(
        {
            **rendering.item_list(answer, asked.fields),
            "next_cursor": answer.next_cursor,
            "unknown_items": answer.unknown_items,
        }
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
