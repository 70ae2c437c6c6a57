"""Experiments over HTTP, for tests."""

from __future__ import annotations

from typing import Any

import httpx

from tests.running import RunningService


def put(
    service: RunningService, address: str, *, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    body = {"variants": [{"key": "control"}, {"key": "treatment"}]} | fields
    return service.client.put(f"/v1/experiments/{address}", json=body, headers=headers)


def start(service: RunningService, key: str, **fields: Any) -> Any:
    """Defined and running."""
    assert put(service, key, **fields).status_code == 201
    return service.post(f"/v1/experiments/{key}:start")


def in_variants(service: RunningService, key: str, *wanted: str, prefix: str = "u0") -> list[str]:
    """A user for each of the variants: of the model, or with another prefix a new one."""
    users = [f"{prefix}{i:02}" for i in range(40)]
    results = service.post(f"/v1/experiments/{key}:preview", {"user_ids": users})["results"]
    return [next(found["user_id"] for found in results if found["variant"] == variant) for variant in wanted]
