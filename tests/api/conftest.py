"""A running service with one promoted bundle."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc.bundle.reader import open_bundle
from recsvc.bundle.types import Bundle, UserRow
from tests.running import RunningService


@pytest.fixture
def service(tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    running = RunningService(tmp_path, redis_url)
    running.publish()
    with running:
        yield running


@pytest.fixture
def bundle(service: RunningService) -> Bundle:
    """The bundle that the service answers from."""
    version = service.registry.champion()
    assert version is not None
    return open_bundle(service.registry.path(version), None)


@pytest.fixture
def user() -> str:
    """A user that neither the bundle nor another test knows."""
    return f"user-{secrets.token_hex(6)}"


@pytest.fixture
def elsewhere(service: RunningService, tmp_path: Path, redis_url: str) -> Iterator[RunningService]:
    """Another process with the same model: the two share nothing but Redis."""
    other = RunningService(tmp_path / "elsewhere", redis_url)
    other.publish(version=service.registry.champion())
    with other:
        yield other


def consumed(bundle: Bundle, user: str) -> set[str]:
    """The items of the user's history."""
    row = bundle.users.row_of(user)
    assert row is not None
    items, _ = bundle.interactions.of(UserRow(row))
    return {bundle.items[int(item)] for item in items}
