"""Experiments: defined, started, stopped, and looked at before they are."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from recsvc.api import rendering
from recsvc.api.auth import require
from recsvc.api.dependencies import Service, service_of
from recsvc.api.errors import InvalidParameter, problem_responses
from recsvc.api.experiment_errors import ModelUnusable
from recsvc.api.experiment_schemas import (
    Audit,
    ExperimentBody,
    ExperimentList,
    ExperimentShown,
    Preview,
    PreviewBody,
)
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.bundle.errors import BundleError
from recsvc.experiments.assignment import Assignment, Who
from recsvc.experiments.definition import Definition, Experiment, Key
from recsvc.experiments.live import MAX_RUNNING

router = APIRouter(tags=["experiments"], route_class=StrictJSONRoute, dependencies=[Depends(require("experiments"))])

KeyPath = Annotated[Key, Path(description="Lower-case letters, digits and `_.-`, 48 characters at most.")]
IfMatch = Annotated[
    str | None, Header(description='The ETag of what was read, `"3"`: 409 where it was changed since. `"0"`: none yet.')
]
_ETAG: Final = re.compile(r'"?(\d{1,9})"?', re.ASCII)


@router.get("/v1/experiments", response_model=ExperimentList, responses=problem_responses(401, 403), summary="All")
async def experiments(request: Request) -> Response:
    """By key, archived ones too. While Redis is away, as this process knew them last."""
    service = service_of(request)
    shown = [_shown(service, experiment) for experiment in await service.experiments.known()]
    return rendering.json_response({"max_running": MAX_RUNNING, "experiments": shown})


@router.get(
    "/v1/experiments/{key}",
    response_model=ExperimentShown,
    responses=problem_responses(401, 403, 404, 422),
    summary="An experiment",
)
async def experiment(request: Request, key: KeyPath) -> Response:
    """The definition, the state and the phases; the ETag is its revision."""
    service = service_of(request)
    return _answer(service, await service.experiments.get(key))


@router.put(
    "/v1/experiments/{key}",
    response_model=ExperimentShown,
    responses={201: {"model": ExperimentShown}, **problem_responses(401, 403, 409, 413, 415, 422, 503, 507)},
    summary="Define an experiment",
)
async def put(request: Request, key: KeyPath, body: ExperimentBody, if_match: IfMatch = None) -> Response:
    """A new one is a draft (201). Of one that runs, other variants, weights or another unit begin a new phase under a
    new seed; coverage, targeting, namespace, holdout and the rest change within the phase."""
    if body.key not in (None, key):
        raise InvalidParameter("#/key", f"is {body.key!r}, and the address is of {key!r}")
    service = service_of(request)
    known = {name: getattr(body, name) for name in Definition.model_fields}
    definition = Definition(**known | {"key": key})
    before = service.experiments.assigner.experiments.get(key)
    if before is not None and before.state == "running":
        await _check_models(service, definition)
    stored = await service.experiments.put(definition, _revision(if_match))
    return _answer(service, stored.experiment, 201 if stored.created else 200)


@router.delete(
    "/v1/experiments/{key}",
    status_code=204,
    response_class=Response,
    responses=problem_responses(401, 403, 404, 409, 422, 503),
    summary="Delete an experiment",
)
async def delete(request: Request, key: KeyPath, if_match: IfMatch = None) -> Response:
    """Not while it runs. What the log has of it stays; archive what is to be looked at again."""
    await service_of(request).experiments.delete(key, _revision(if_match))
    return Response(status_code=204)


@router.post(
    "/v1/experiments/{key}:start",
    response_model=ExperimentShown,
    responses=problem_responses(401, 403, 404, 409, 422, 503),
    summary="Start, or start again",
)
async def start(request: Request, key: KeyPath, if_match: IfMatch = None) -> Response:
    """In a new phase, under a new seed. The models of its variants are opened first: 409 where one cannot be."""
    service = service_of(request)
    await _check_models(service, await service.experiments.get(key))
    return _answer(service, await service.experiments.start(key, _revision(if_match)))


@router.post(
    "/v1/experiments/{key}:stop",
    response_model=ExperimentShown,
    responses=problem_responses(401, 403, 404, 409, 422, 503),
    summary="Stop",
)
async def stop(request: Request, key: KeyPath, if_match: IfMatch = None) -> Response:
    """Nobody is assigned any more. Tokens that are out there go on to say what their answers were."""
    service = service_of(request)
    return _answer(service, await service.experiments.stop(key, _revision(if_match)))


@router.post(
    "/v1/experiments/{key}:archive",
    response_model=ExperimentShown,
    responses=problem_responses(401, 403, 404, 409, 422, 503),
    summary="Archive",
)
async def archive(request: Request, key: KeyPath, if_match: IfMatch = None) -> Response:
    """For good: it is kept to be read, and cannot be changed or started."""
    service = service_of(request)
    return _answer(service, await service.experiments.archive(key, _revision(if_match)))


@router.get(
    "/v1/experiments/{key}/audit",
    response_model=Audit,
    responses=problem_responses(401, 403, 422, 503),
    summary="What was changed, and when",
)
async def audit(request: Request, key: KeyPath) -> Response:
    """Of a deleted experiment as well, for 400 days."""
    entries = await service_of(request).experiments.audit(key)
    return rendering.json_response({"key": key, "entries": entries})


@router.post(
    "/v1/experiments/{key}:preview",
    response_model=Preview,
    responses=problem_responses(401, 403, 404, 413, 415, 422, 503),
    summary="Who would get which variant",
)
async def preview(request: Request, key: KeyPath, body: PreviewBody) -> Response:
    """Of its phase if it runs, else as if it were started now as its first one."""
    service = service_of(request)
    found = await service.experiments.get(key)
    results = await asyncio.gather(*(_previewed(service, found, user_id) for user_id in body.user_ids))
    counts = Counter(result["variant"] for result in results if result["variant"] is not None)
    shown = {variant.key: counts[variant.key] for variant in found.variants}
    phase = max(len(found.phases), 1)
    return rendering.json_response({"key": key, "phase": phase, "counts": shown, "results": results})


async def _previewed(service: Service, found: Experiment, user_id: str) -> dict[str, Any]:
    who = Who(user_id, unit_id=user_id if found.unit == "unit_id" else None)
    outcome = await service.experimenting.outcome(found, who)
    if isinstance(outcome, Assignment):
        return {"user_id": user_id, "variant": outcome.variant.key, "forced": outcome.forced, "left": None}
    return {"user_id": user_id, "variant": None, "forced": False, "left": outcome.value}


async def _check_models(service: Service, definition: Definition) -> None:
    for variant in definition.variants:
        for version in variant.models:
            try:
                await service.pool.get(version)
            except BundleError as exc:
                raise ModelUnusable(f"variant {variant.key!r} has the model {version!r}: {exc}") from exc


def _revision(if_match: str | None) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidParameter("#/header/if-match", 'is no ETag of an experiment; send the one that GET gave, like "3"')
    return int(found[1])


def _shown(service: Service, found: Experiment) -> dict[str, Any]:
    return found.model_dump(mode="json") | {"read_only": service.experiments.is_fixed(found.key)}


def _answer(service: Service, found: Experiment, status: int = 200) -> Response:
    answer = rendering.json_response(_shown(service, found))
    answer.status_code = status
    answer.headers["ETag"] = f'"{found.revision}"'
    return answer
