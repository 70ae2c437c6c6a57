"""The one place that puts the app together."""

from __future__ import annotations

import time
from typing import Final

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from recsvc import __version__
from recsvc.api import (
    events,
    experiment_reports,
    experiments,
    health,
    items,
    lists,
    models,
    ofrep,
    recommendations,
    sessions,
    users,
)
from recsvc.api.auth import install_auth
from recsvc.api.errors import install_error_handlers
from recsvc.api.experiment_errors import install_experiment_errors
from recsvc.api.front import Front
from recsvc.api.middleware import install_middleware
from recsvc.api.resource_errors import install_resource_errors
from recsvc.api.serving_errors import install_serving_errors
from recsvc.lifespan import Clock, lifespan_of
from recsvc.settings import Settings
from recsvc.telemetry import Telemetry
from recsvc.web import pages

_DESCRIPTION: Final = """\
Personalised content recommendations. Lists are full, or `degraded` says why; an unknown user is a new user, never an
error; what goes wrong is a problem document (RFC 9457), with JSON pointers to invalid input.
"""


def create_service(settings: Settings, clock: Clock = time.time) -> Front:
    """The service as the server runs it. Nothing is opened before its lifespan begins.

    `clock` gives Unix seconds; no setting chooses it. Only the simulator has another one than the machine's.
    """
    telemetry = Telemetry()
    app = create_app(settings, telemetry, clock)
    return Front(
        app,
        app.state,
        telemetry,
        most_requests=settings.max_requests_in_progress,
        most_computations=settings.max_computations,
    )


def create_app(settings: Settings, telemetry: Telemetry, clock: Clock = time.time) -> FastAPI:
    """The resources, the way to each of them, and the documentation."""
    app: FastAPI = FastAPIOffline(
        title="recsvc",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan_of(settings, telemetry, clock),
    )
    install_auth(app, settings)
    install_error_handlers(app)
    install_serving_errors(app)
    install_resource_errors(app)
    install_experiment_errors(app)
    install_middleware(app, settings, telemetry)
    # Addresses are compared in this order: those that most requests are for stand first.
    for resource in (
        recommendations,
        events,
        sessions,
        items,
        users,
        lists,
        models,
        experiments,
        experiment_reports,
        ofrep,
        health,
        pages,
    ):
        app.include_router(resource.router)
    return app
