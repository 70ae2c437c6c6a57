"""Models: the registry, and which version answers."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from recsvc.api.auth import require
from recsvc.api.dependencies import Service, service_of
from recsvc.api.errors import problem_responses
from recsvc.api.model_schemas import ActiveModel, ModelEntry, ModelProblem, Models
from recsvc.bundle.errors import BundleError
from recsvc.serving.models import ModelPool

router = APIRouter(tags=["models"])


@router.get(
    "/v1/models",
    responses=problem_responses(401, 403),
    dependencies=[Depends(require("read"))],
    summary="The versions there are, and the one in use",
)
async def models(request: Request) -> Models:
    """Newest first, with gate and metrics. `problem` says why the champion is not in use, if it is not."""
    service = service_of(request)
    return await asyncio.to_thread(_overview, service.pool, erased_known=service.live.ready)


@router.post(
    "/v1/models/{version}:activate",
    responses=problem_responses(401, 403, 404, 409, 422),
    dependencies=[Depends(require("admin"))],
    summary="Promote a version",
)
async def activate(
    request: Request,
    version: str,
    force: Annotated[bool, Query(description="Even if the version did not pass its gate.")] = False,
) -> ActiveModel:
    """Every checksum is compared first; what is refused changes nothing. Other workers follow within a poll."""
    service: Service = service_of(request)
    return ActiveModel(active=(await service.pool.activate(version, force=force)).version)


@router.post(
    "/v1/models:rollback",
    responses=problem_responses(401, 403, 409),
    dependencies=[Depends(require("admin"))],
    summary="Return to the champion before",
)
async def rollback(request: Request) -> ActiveModel:
    """The version that was champion before the latest promotion is verified and answers again."""
    return ActiveModel(active=(await service_of(request).pool.rollback()).version)


def _overview(pool: ModelPool, *, erased_known: bool) -> Models:
    active, problem = pool.active, pool.problem
    active_version = active.version if active is not None else None
    shown = None if problem is None else ModelProblem(version=problem.version, message=problem.message)
    try:
        champion = pool.registry.champion()
    except BundleError as exc:
        champion, shown = None, ModelProblem(version=None, message=str(exc))
    return Models(
        champion=champion,
        active=active_version,
        problem=shown,
        example_users=active.example_users if active is not None and erased_known else [],
        models=[_entry(pool, version, champion, active_version) for version in pool.registry.versions()],
    )


def _entry(pool: ModelPool, version: str, champion: str | None, active: str | None) -> ModelEntry:
    is_champion, is_active = version == champion, version == active
    try:
        manifest = pool.registry.manifest(version)
    except BundleError as exc:
        return ModelEntry(version=version, champion=is_champion, active=is_active, problem=str(exc))
    return ModelEntry(
        version=version,
        champion=is_champion,
        active=is_active,
        created_at=manifest.created_at,
        data=manifest.data.name,
        n_users=manifest.n_users,
        n_items=manifest.n_items,
        n_factors=manifest.n_factors,
        gate=manifest.gate,
        metrics=manifest.metrics,
    )
