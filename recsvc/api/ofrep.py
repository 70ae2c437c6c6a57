"""Experiments as feature flags, by the OpenFeature Remote Evaluation Protocol (OFREP): any OpenFeature SDK can ask.

The value of a flag is the key of the user's variant, the same as in the user's recommendations. A user outside of the
experiment gets no value, so that the default of the calling code counts. Errors have the protocol's form.
https://github.com/open-feature/protocol
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import orjson
from fastapi import APIRouter, Depends, Request, Response

from recsvc.api.auth import require
from recsvc.api.dependencies import Service, service_of
from recsvc.api.errors import problem_responses
from recsvc.api.ofrep_schemas import OFREP_REQUEST, BulkEvaluation, Evaluation, EvaluationFailed
from recsvc.api.rendering import json_response
from recsvc.api.strict_json import parse_strictly
from recsvc.events.schema import id_problem
from recsvc.experiments.assignment import Assigned, Who
from recsvc.store.errors import StoreUnavailable

router = APIRouter(tags=["experiments"], dependencies=[Depends(require("read"))])

_FAILED: Final[dict[int | str, dict[str, Any]]] = {400: {"model": EvaluationFailed}}


class _Failed(Exception):  # noqa: N818
    """The request cannot be evaluated; `code` of the protocol."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code


@router.post(
    "/ofrep/v1/evaluate/flags/{key}",
    response_model=Evaluation,
    responses={**_FAILED, 404: {"model": EvaluationFailed}, **problem_responses(401, 403, 422)},
    openapi_extra=OFREP_REQUEST,
    summary="A user's variant, as a flag",
)
async def evaluate(request: Request, key: str) -> Response:
    """`targetingKey` of the context is the user; its `unit_id` that of experiments which hash one."""
    service = service_of(request)
    if key not in service.experiments.assigner.experiments:
        return _failure(404, "FLAG_NOT_FOUND", f"there is no experiment {key!r}", key)
    try:
        assigned = await _assigned(service, await request.body())
    except _Failed as exc:
        return _failure(400, exc.code, str(exc), key)
    return json_response(_evaluated(service, assigned, key))


@router.post(
    "/ofrep/v1/evaluate/flags",
    response_model=BulkEvaluation,
    responses={304: {"description": "As `If-None-Match` has it."}, **_FAILED, **problem_responses(401, 403)},
    openapi_extra=OFREP_REQUEST,
    summary="All of a user's variants, as flags",
)
async def evaluate_all(request: Request) -> Response:
    """Every running experiment. The ETag stands for the answer: send it as `If-None-Match` to hear of changes alone."""
    service = service_of(request)
    try:
        assigned = await _assigned(service, await request.body())
    except _Failed as exc:
        return _failure(400, exc.code, str(exc))
    running = (found.key for found in service.experiments.assigner.experiments.values() if found.state == "running")
    body = orjson.dumps({"flags": [_evaluated(service, assigned, key) for key in sorted(running)]})
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, media_type="application/json", headers={"ETag": etag})


async def _assigned(service: Service, body: bytes) -> Assigned:
    who = _who(body)
    try:
        read = await service.users.state.read(who.user_id, None, mark=False)
    except StoreUnavailable:
        pass  # as for recommendations: by the user's own id
    else:
        who = who._replace(began_as=read.unit)
    return await service.experimenting.of_user(who)


def _who(body: bytes) -> Who:
    try:
        sent = parse_strictly(body)
    except (ValueError, RecursionError) as exc:
        raise _Failed("PARSE_ERROR", f"the body is not JSON: {exc}") from exc
    context = sent.get("context") if isinstance(sent, dict) else None
    if not isinstance(context, dict):
        raise _Failed("INVALID_CONTEXT", "the body has no context, an object; send {'context': {'targetingKey': …}}")
    if context.get("targetingKey") is None:
        raise _Failed("TARGETING_KEY_MISSING", "the context has no targetingKey, which is the user's id")
    for name in ("targetingKey", "unit_id"):
        value = context.get(name)
        problem = "is no string" if not isinstance(value, str) else id_problem(value)
        if value is not None and problem is not None:
            raise _Failed("INVALID_CONTEXT", f"{name} {problem}")
    return Who(context["targetingKey"], context.get("unit_id"))


def _evaluated(service: Service, assigned: Assigned, key: str) -> dict[str, Any]:
    found = next((found for found in assigned.assignments if found.experiment == key), None)
    if found is None:
        known = service.experiments.assigner.experiments.get(key)  # None: deleted a moment ago
        running = known is not None and known.state == "running"
        return {"key": key, "reason": "DEFAULT" if running else "DISABLED", "variant": ""}
    return {
        "key": key,
        "reason": "TARGETING_MATCH" if found.forced else "SPLIT",
        "variant": found.variant.key,
        "value": found.variant.key,
        "metadata": {"phase": found.phase, "forced": found.forced},
    }


def _failure(status: int, code: str, details: str, key: str | None = None) -> Response:
    content = {"errorCode": code, "errorDetails": details} | ({} if key is None else {"key": key})
    return Response(orjson.dumps(content), status, media_type="application/json")
