"""What the resources are given: the parts of the running service, in one typed place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from recsvc.catalog.feed import LiveFeed
from recsvc.catalog.items import ItemCatalogue
from recsvc.events.intake import EventIntake
from recsvc.experiments.analyses import Analyses
from recsvc.experiments.directory import Experiments
from recsvc.serving.experimenting import Experimenting
from recsvc.serving.kept import KeptAnswers
from recsvc.serving.models import ModelPool
from recsvc.serving.recommender import Recommender
from recsvc.settings import Settings
from recsvc.store.connection import RedisConnection
from recsvc.store.sequences import Sequences
from recsvc.telemetry import Telemetry
from recsvc.users.directory import Users


@dataclass(frozen=True, slots=True)
class Service:
    """Opened by the lifespan, closed by it. `clock` gives Unix seconds."""

    settings: Settings
    clock: Callable[[], float]
    telemetry: Telemetry
    redis: RedisConnection
    pool: ModelPool
    recommender: Recommender
    live: LiveFeed
    catalogue: ItemCatalogue
    intake: EventIntake
    users: Users
    sequences: Sequences
    kept: KeptAnswers
    experiments: Experiments
    analyses: Analyses
    experimenting: Experimenting


def service_of(request: Request) -> Service:
    """The service that answers this request."""
    service = request.app.state.service
    assert isinstance(service, Service)  # noqa: S101
    return service
