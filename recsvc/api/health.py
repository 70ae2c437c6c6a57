"""For those who run the service: is it alive, can it answer, and how it fares."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request, Response

from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.model_schemas import Check, Health, Readiness
from recsvc.catalog.feed import LiveFeed
from recsvc.serving.models import ModelPool
from recsvc.store.connection import RedisConnection
from recsvc.store.errors import StoreUnavailable
from recsvc.store.persistence import persistence_report
from recsvc.store.refusals import why_writes_fail
from recsvc.store.workers import worker_summary
from recsvc.telemetry import METRICS_CONTENT_TYPE

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="The process answers")
async def healthz() -> Health:
    """Asks nobody else: a process that answers this need not be restarted."""
    return Health(status="ok")


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready"}},
    summary="Requests can be answered",
)
async def readyz(request: Request, response: Response) -> Readiness:
    """Ready with a model in use, and when it is known which items are hidden and which users erased.

    Redis may be away: then answers are computed, and say `degraded`.
    """
    service = service_of(request)
    checks = {
        "model": _model_check(service.pool),
        "redis": await _redis_check(service.redis),
        "live_data": _live_check(service.live),
        "event_log": await _event_log_check(service.redis),
    }
    ready = all(check.status != "failed" for check in checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not_ready", checks=checks)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **problem_responses(401, 403)},
    dependencies=[Depends(require("read"))],
    summary="Metrics in Prometheus' text format",
)
async def metrics(request: Request) -> Response:
    """Of all worker processes together."""
    return Response(service_of(request).telemetry.render(), media_type=METRICS_CONTENT_TYPE)


def _model_check(pool: ModelPool) -> Check:
    active, problem = pool.active, pool.problem
    if active is None:
        reason = "no model was promoted yet; run make train promote" if problem is None else problem.message
        return Check(status="failed", detail=reason)
    if problem is not None:
        return Check(status="degraded", detail=f"{active.version} stays in use: {problem.message}")
    return Check(status="ok", detail=f"{active.version} is in use")


def _live_check(live: LiveFeed) -> Check:
    if live.following:
        return Check(status="ok", detail="changes of items and erasures are followed")
    if live.as_of is None:
        return Check(
            status="failed",
            detail="missing: neither Redis nor a snapshot says which items are hidden and which users erased",
        )
    moment = datetime.fromtimestamp(live.as_of, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Check(status="degraded", detail=f"as of {moment}: later changes of items and erasures are not known yet")


async def _event_log_check(redis: RedisConnection) -> Check:
    try:
        summary = await worker_summary(redis)
    except StoreUnavailable:
        return Check(status="degraded", detail="Redis does not answer; events are refused")
    waiting = f"{summary.unwritten} events wait to be written"
    aside = f"; {summary.dead_letters} were put aside as unreadable" if summary.dead_letters else ""
    if not summary.live:
        return Check(status="degraded", detail=f"no worker writes the log (make worker); {waiting}{aside}")
    return Check(status="degraded" if aside else "ok", detail=f"{summary.live} at work; {waiting}{aside}")


async def _redis_check(redis: RedisConnection) -> Check:
    try:
        weaker = await persistence_report(redis)
        refusal = await why_writes_fail(redis)
    except StoreUnavailable:
        # Its text names hosts and sockets, and this address needs no key.
        return Check(status="degraded", detail="Redis does not answer; lists are computed for each request")
    if refusal is not None:
        return Check(status="degraded", detail=f"{refusal}; events are refused", weaker_promises=weaker)
    return Check(status="ok", detail="Redis answers", weaker_promises=weaker)
