"""What the service is measured against: three servers that answer the same bytes, each with less or with other work.

`bare` sends the body and does nothing else. `skeleton` asks Redis for it, one MGET for all requests of one turn of the
event loop. `tutorial` is what tutorials show: FastAPI, pydantic items, one awaited GET, `implicit.recommend` on a miss.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The same body to everybody."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await _answer(send, _body())


class _Skeleton:
    """Waiting keys by name; whoever comes first in a turn of the loop asks for all."""

    def __init__(self) -> None:
        self._redis: Any = None
        self._waiting: dict[str, asyncio.Future[bytes]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self._redis = Redis.from_url(os.environ["BENCH_REDIS"], protocol=2)
            await _lifespan(receive, send)
            return
        key = "list:" + scope["path"].split("/")[3]
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._waiting) == 1:
                asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._ask())
        await _answer(send, await waiting)

    async def _ask(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future, value in zip(waiting.values(), await self._redis.mget(list(waiting)), strict=True):
            future.set_result(value)


skeleton = _Skeleton()


class _Item(BaseModel):
    id: str
    score: float


class _Answer(BaseModel):
    user_id: str
    items: list[_Item]


def tutorial() -> FastAPI:
    """The tutorial's service over the champion of BENCH_MODELS, with implicit's own model."""
    import numpy as np
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    from recsvc.bundle.reader import open_bundle
    from recsvc.bundle.registry import Registry

    registry = Registry(Path(os.environ["BENCH_MODELS"]))
    version = registry.champion()
    assert version is not None
    bundle = open_bundle(registry.path(version), None)
    model = AlternatingLeastSquares(factors=bundle.item_factors.shape[1], num_threads=1)
    model.user_factors, model.item_factors = np.array(bundle.user_factors), np.array(bundle.item_factors)
    history = bundle.interactions
    seen = csr_matrix((history.confidence, history.items, history.indptr), shape=(len(bundle.users), len(bundle.items)))
    redis = Redis.from_url(os.environ["BENCH_REDIS"], protocol=2)
    app = FastAPI()

    @app.get("/v1/users/{user_id}/recommendations", response_model=_Answer)
    async def recommend(user_id: str, limit: int = 20) -> _Answer:
        key = f"tutorial:{user_id}:{limit}"
        cached = await redis.get(key)
        if cached is not None:
            return _Answer(user_id=user_id, items=[_Item(**item) for item in json.loads(cached)])
        row = bundle.users.row_of(user_id)
        ids, scores = model.recommend(row, seen[row], N=limit)
        items = [
            {"id": bundle.items[int(item)], "score": float(score)} for item, score in zip(ids, scores, strict=True)
        ]
        await redis.set(key, json.dumps(items), ex=600)
        return _Answer(user_id=user_id, items=[_Item(**item) for item in items])

    return app


def _body() -> bytes:
    global _read  # noqa: PLW0603 - read once by each server process
    if _read is None:
        _read = Path(os.environ["BENCH_BODY"]).read_bytes()
    return _read


_read: bytes | None = None


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
