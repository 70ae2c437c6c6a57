"""What came of an experiment, and how large one has to be: computed beside the service, told from what there is."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from recsvc.api.auth import require
from recsvc.api.dependencies import service_of
from recsvc.api.errors import problem_responses
from recsvc.api.experiment_errors import NoAnalysis
from recsvc.api.experiments import KeyPath
from recsvc.api.rendering import json_response
from recsvc.api.strict_json import StrictJSONRoute
from recsvc.experiments.analyses import PATIENCE_SECONDS, Found, Job
from recsvc.experiments.definition import MAX_PHASES, Key

router = APIRouter(tags=["experiments"], route_class=StrictJSONRoute, dependencies=[Depends(require("experiments"))])

MaxAgeQuery = Annotated[
    int, Query(ge=0, le=2_592_000, description="Seconds: an older one is computed anew, and told meanwhile.")
]
_DEFAULT_MAX_AGE_SECONDS: Final = 600
_DEFAULT_METRIC: Final = "ctr"

_PAGE: Final = {
    # A page of figures: no script, nothing from elsewhere.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class ReportShown(BaseModel):
    """The latest report. `refreshing` while a newer one is computed; `refused` why there is no newer one."""

    experiment: str
    phase: int
    age_seconds: float
    refreshing: bool
    refused: str | None = None
    report: dict[str, Any] = Field(description="As docs/experiment-report.md describes it.")


class Computing(BaseModel):
    """There is none yet; ask again after `Retry-After` seconds."""

    refreshing: Literal[True] = True


class Users(BaseModel):
    """Users of two arms of equal size together; `periods` of `days` until that many have come."""

    users: int
    periods: float


class SampleSizeShown(BaseModel):
    """What sees a relative change of `effect` in four of five experiments, by the log's own variance."""

    metric: str
    days: int
    effect: float
    mean: float
    deviation: float = Field(description="Standard deviation of one user's value.")
    variance_saved: float = Field(description="By CUPED, as a share.")
    users_seen: int = Field(description="Users of the last `days`, by whom it is computed.")
    any_look: Users = Field(description="Looking whenever one likes, as the report does.")
    one_look: Users = Field(description="Looking once, at an end fixed beforehand.")
    age_seconds: float
    refreshing: bool


@router.get(
    "/v1/experiments/{key}/report",
    response_model=ReportShown,
    responses={202: {"model": Computing}, **problem_responses(401, 403, 404, 409, 422)},
    summary="What came of it",
)
async def report(
    request: Request,
    key: KeyPath,
    max_age: MaxAgeQuery = _DEFAULT_MAX_AGE_SECONDS,
    phase: Annotated[int | None, Query(ge=1, le=MAX_PHASES, description="By default the latest.")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """The latest report at once, with its age; 202 while there is none yet. With `Accept: text/html` the page."""
    service = service_of(request)
    found = await service.experiments.get(key)
    number = phase or len(found.phases)
    if not 1 <= number <= len(found.phases):
        raise NoAnalysis(
            f"experiment {key!r} has had {len(found.phases)} phases, not {number}"
            if found.phases
            else f"experiment {key!r} was never started; start it first"
        )
    html = "text/html" in accept
    suffix = "html" if html else "json"
    file = service.settings.state_dir / "analysis" / "reports" / f"{key}.{number}.{suffix}"
    job = Job(("report", key, "--phase", str(number)), file)
    made = service.analyses.get(job, max_age)
    if made.content is None:
        return _not_yet(made, html=html)
    if html:
        return HTMLResponse(made.content, headers=_PAGE)
    shown = {"experiment": key, "phase": number, **_age(made), "refused": made.refused}
    return json_response({**shown, "report": orjson.Fragment(made.content)})


@router.get(
    "/v1/experiments/{key}/sample-size",
    response_model=SampleSizeShown,
    responses={202: {"model": Computing}, **problem_responses(401, 403, 404, 409, 422)},
    summary="How many users it takes",
)
async def sample_size(
    request: Request,
    key: KeyPath,
    effect: Annotated[float, Query(gt=0, lt=1, description="The relative change to see; 0.02 is two per cent.")] = 0.02,
    metric: Annotated[Key | None, Query(description="By default the experiment's primary metric.")] = None,
    days: Annotated[int | None, Query(ge=1, le=365, description="By default its `outcome_days`.")] = None,
    max_age: MaxAgeQuery = 86_400,
) -> Response:
    """By how users behaved in the last `days` of the log, whoever they were; a draft can be asked about as well."""
    service = service_of(request)
    found = await service.experiments.get(key)
    chosen = metric or found.primary_metric or _DEFAULT_METRIC
    period = str(days or found.outcome_days)
    job = Job(("size", "--metric", chosen, "--effect", repr(effect), "--days", period, "--json"))
    made = service.analyses.get(job, max_age)
    if made.content is None:
        return _not_yet(made, html=False)
    return json_response({**orjson.loads(made.content), **_age(made)})


def _age(made: Found) -> dict[str, Any]:
    return {"age_seconds": round(made.age_seconds, 1), "refreshing": made.running}


def _not_yet(made: Found, *, html: bool) -> Response:
    if made.refused is not None:
        raise NoAnalysis(made.refused)
    headers = {"Retry-After": str(PATIENCE_SECONDS)}
    if html:
        return HTMLResponse("The report is being made …", 202, headers | {"Refresh": str(PATIENCE_SECONDS)} | _PAGE)
    answer = json_response({"refreshing": True})
    answer.status_code = 202
    answer.headers.update(headers)
    return answer
