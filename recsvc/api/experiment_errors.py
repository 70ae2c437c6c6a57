"""The HTTP meaning of what experiments refuse."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from recsvc.api.errors import ApiError, api_error_response
from recsvc.api.resource_errors import Busy
from recsvc.experiments.errors import ChangedMeanwhile, ChangeRefused, ExperimentError, ExperimentUnknown, TooMany


class NoSuchExperiment(ApiError):  # noqa: N818
    """404: there is no experiment of that key."""

    status, kind, title = 404, "experiment-unknown", "Unknown experiment"


class NotInThisState(ApiError):  # noqa: N818
    """409: the experiment is in a state in which this cannot be done, or comes from the file."""

    status, kind, title = 409, "experiment-state", "Not in this state"


class NoRoomForExperiments(ApiError):  # noqa: N818
    """507: there are as many experiments as there may be."""

    status, kind, title = 507, "experiments-full", "No room for another experiment"


class ModelUnusable(ApiError):  # noqa: N818
    """409: a variant's model cannot be had, so the experiment is not started."""

    status, kind, title = 409, "experiment-model", "Model of a variant not usable"


class NoAnalysis(ApiError):  # noqa: N818
    """409: what is asked for cannot be told from what there is; the detail says what is missing."""

    status, kind, title = 409, "experiment-analysis", "No analysis"


def install_experiment_errors(app: FastAPI) -> None:
    """Maps what experiments raise, beside the errors of `install_error_handlers`."""
    app.add_exception_handler(ExperimentError, _answer)


async def _answer(request: Request, exc: Exception) -> Response:
    kinds: dict[type[Exception], type[ApiError]] = {
        ExperimentUnknown: NoSuchExperiment,
        ChangeRefused: NotInThisState,
        ChangedMeanwhile: Busy,
        TooMany: NoRoomForExperiments,
    }
    return api_error_response(request.scope, kinds[type(exc)](str(exc)))
