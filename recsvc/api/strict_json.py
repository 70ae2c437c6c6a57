"""JSON bodies read by the letter: what the standard library lets through beyond RFC 8259 is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute


class StrictRequest(Request):
    """A request whose `json()` refuses NaN, infinities, numbers out of range, and text that is not UTF-8."""

    async def json(self) -> Any:
        """The body's value. Raises `json.JSONDecodeError` or another `ValueError`."""
        return parse_strictly(await self.body())


def parse_strictly(body: bytes) -> Any:
    """The value of a JSON text. Raises `json.JSONDecodeError`, another `ValueError`, or `RecursionError`."""
    return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)


class StrictJSONRoute(APIRoute):
    """For `APIRouter(route_class=StrictJSONRoute)`: its bodies are read by `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given a `StrictRequest`."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"the number {literal[:24]} is out of range")
    return value
